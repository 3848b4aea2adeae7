// What a small tensor's op takes in a replayed CUDA graph, beyond a copy kernel of the same bytes.
#pragma once

#include "kernel_timing.hpp"

namespace opforge::bench {

/// A graph of many launches of the op against one of as many copies, replayed by turns, L2 warm.
/// The description of the cell, and microseconds a launch; `beyond_copy_microseconds` is the median
/// over the rounds of the difference.
[[nodiscard]] nlohmann::json measure_replay(KernelTiming& timing, const Cell& cell, int rounds);

}  // namespace opforge::bench
