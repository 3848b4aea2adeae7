// What the launch plans of all kernels are made of: sizes that the kernels have, and what a device
// makes of them. Private.
#pragma once

#include <opforge/runtime/launch_plan.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>

namespace opforge::runtime {

// As the kernels have them (kernel_sources/quantizer/fake_quantize.cu).
constexpr std::int64_t kChunkBytes = 16;
constexpr std::int64_t kGroupsThreads = 256;
constexpr std::int64_t kMaxCluster = 8;  // what every device with clusters can do

constexpr std::int64_t kMaxLanes = 32;
constexpr std::int64_t kMaxBlockChunks = 4096;  // of a block that is sure to find its group in L1
constexpr std::int64_t kMaxGrid = 0x7fffffff;
constexpr std::int64_t kSliceAlignment = 64;
constexpr std::int64_t kMinSlice = 16384;  // below this a slice's launch costs more than its bytes
constexpr std::int64_t kRangeBytes = 8;

// A block pays for the kernel's own shared memory and the system's.
constexpr std::int64_t kOwnShared = 2048;

inline std::int64_t divide_up(std::int64_t value, std::int64_t by) {
    return (value + by - 1) / by;
}

/// By a power of two: a shift. Divisions are the dearest thing that a plan does, and a plan the
/// dearest that a call does before its launch.
inline std::int64_t divide_up_by_power(std::int64_t value, std::int64_t by) {
    return (value + by - 1) >> std::countr_zero(static_cast<std::uint64_t>(by));
}

inline std::int64_t power_of_two_up(std::int64_t value) {
    return static_cast<std::int64_t>(
        std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(value, 1))));
}

inline std::int64_t whole_warps(std::int64_t threads) {
    return divide_up(threads, 32) * 32;
}

inline std::uint32_t grid_for(std::int64_t blocks) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(blocks, 1, kMaxGrid));
}

inline std::int64_t multiprocessors_of(const PlanFacts& facts) {
    return std::max(facts.multiprocessors, 1);
}

/// The largest block, in whole warps.
inline std::int64_t most_threads(const PlanFacts& facts) {
    return std::clamp<std::int64_t>(facts.max_threads_per_block / 32 * 32, 32, 1024);
}

/// Dynamic shared memory of a block of which `blocks` are to be resident on a multiprocessor.
inline std::int64_t shared_for(std::int64_t blocks, const PlanFacts& facts) {
    const std::int64_t bytes = std::min<std::int64_t>(
        facts.shared_bytes_per_block, facts.shared_bytes_per_multiprocessor / blocks);
    return std::max<std::int64_t>(bytes - kOwnShared, 0) / kChunkBytes * kChunkBytes;
}

/// Elements of a chunk.
inline std::int64_t chunk_of(int element_bytes) {
    return kChunkBytes >> std::countr_zero(static_cast<unsigned>(element_bytes));
}

/// Elements of each of `slices` slices of a group, but for the last.
inline std::int64_t slice_size_for(std::int64_t group_size, std::int64_t slices) {
    return divide_up(divide_up(group_size, slices), kSliceAlignment) * kSliceAlignment;
}

/// Whether groups of `blocks` blocks leave half of all multiprocessors without one.
inline bool are_few(std::int64_t groups, std::int64_t blocks, const PlanFacts& facts) {
    return 2 * groups * blocks <= multiprocessors_of(facts);
}

/// Blocks of each group's cluster: `blocks`, a power of two, or more where groups are too few for
/// the chip.
inline std::int64_t shared_by(std::int64_t groups, std::int64_t blocks, const PlanFacts& facts) {
    while (blocks < kMaxCluster && are_few(groups, blocks, facts)) {
        blocks *= 2;
    }
    return blocks;
}

/// Slices of groups, four a multiprocessor: two resident blocks each, twice over, so that a slow
/// block evens out.
struct Slices {
    std::int64_t count;  // a group
    std::int64_t size;   // elements
};
inline Slices split_groups(std::int64_t groups, std::int64_t group_size, const PlanFacts& facts) {
    const std::int64_t wanted = std::clamp<std::int64_t>(
        divide_up(4 * multiprocessors_of(facts), groups), 1, divide_up(group_size, kMinSlice));
    const std::int64_t size = slice_size_for(group_size, wanted);
    return {divide_up(group_size, size), size};
}

/// Whether groups, one a block, are enough for the chip, or too small to be split.
inline bool are_blocks_enough(std::int64_t groups, std::int64_t group_size,
                              const PlanFacts& facts) {
    return groups >= 2 * multiprocessors_of(facts) || group_size < 2 * kMinSlice;
}

}  // namespace opforge::runtime
