// The numbers of stochastic rounding: Philox4x32-10 at (seed, offset + i) for element i, the same
// on host and GPU and whatever the launch's shape. contract: section 1.1.
#pragma once

#include <opforge/base/export.hpp>

#include <cstdint>

namespace opforge::runtime {

/// Where a call's numbers begin. A tensor done in two halves with `offset` and `offset + n` gives
/// the bits of the whole.
struct RandomState {
    std::uint64_t seed = 0;
    std::uint64_t offset = 0;
};

/// The process-wide generator behind calls that bring no RandomState of their own. Any thread.
/// Seeds it and starts its offset at 0 again. Until then the seed is 0.
OPFORGE_API void manual_seed(std::uint64_t seed) noexcept;
/// Takes `elements` numbers, rounded up to 4, and gives where they begin. One atomic addition.
[[nodiscard]] OPFORGE_API RandomState next_random_state(std::uint64_t elements) noexcept;

}  // namespace opforge::runtime
