// Which library call stands behind each op of the vectors. One row an op; an op without a row is
// skipped, and said to be.
#pragma once

#include "place.hpp"
#include "vectors.hpp"

#include <string_view>

namespace opforge::golden {

/// Runs a case and gives its outputs by name. @throws VectorError where the case lacks what the op
/// needs; the library's own errors otherwise
using Runner = Tensors (*)(const Case& of, const Place& place);

/// Null where the op has no runner.
[[nodiscard]] Runner find_runner(std::string_view op) noexcept;

}  // namespace opforge::golden
