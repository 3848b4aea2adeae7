// Runs a set of vectors and counts what came out right. Prints nothing.
#pragma once

#include "ops.hpp"
#include "vectors.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace opforge::golden {

struct OpCounts {
    std::size_t cases = 0;
    std::size_t exact = 0;
    std::size_t failed = 0;
    std::size_t skipped = 0;  // no runner for the op, or run without an `expected` to judge it by
};

struct Failure {
    std::size_t index = 0;  // of the case
    std::string op;
    std::string attributes;  // JSON
    std::string what;        // the first differing element, or the error
};

struct Summary {
    std::map<std::string, OpCounts> ops;
    std::vector<Failure> failures;
};

/// Whether a case without `expected` is an error, or is run for its outputs alone.
enum class Judge : std::uint8_t { all, where_expected };

/// Replaces every case's `outputs` by what the library gives (nothing for refused cases and ops
/// without a runner).
/// @throws VectorError where a case lacks what its op needs, or its `expected`; NoDevice,
/// ToolchainNotFound, OfflineMiss: causes that no single case is to blame for
[[nodiscard]] Summary check_vectors(Vectors& vectors, const Place& place, Judge judge = Judge::all);

}  // namespace opforge::golden
