// Devices as a command line names them, and the memory of one.
#pragma once

#include <opforge/runtime/tensor_view.hpp>

#include <string>
#include <string_view>

namespace opforge::tools {

/// "cpu", "cuda" (the first), "cuda:N". @throws InvalidArgument for anything else.
[[nodiscard]] runtime::Device parse_device(std::string_view text);
/// "cpu", "cuda:0"
[[nodiscard]] std::string to_string(const runtime::Device& device);

}  // namespace opforge::tools
