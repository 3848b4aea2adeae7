// How an op is launched: pure functions of the tensor's shape and of the device's facts.
#pragma once

#include <opforge/base/export.hpp>

#include <cstdint>

namespace opforge::runtime {

/// What a plan needs to know of a device; asked of the driver once.
struct PlanFacts {
    int multiprocessors = 1;
    int max_threads_per_block = 1024;
    int shared_bytes_per_block = 0;           // with opting in; 0: none beyond the kernels' own
    int shared_bytes_per_multiprocessor = 0;  // of all resident blocks together
    int max_threads_per_multiprocessor = 1024;
    bool cooperative_launch = false;
    bool cluster_launch = false;
};

struct FakeQuantizeShape {
    std::int64_t groups = 0;
    std::int64_t group_size = 0;
    int element_bytes = 2;
    bool aligned = true;      // every 16 bytes of every group lie at a 16-byte boundary
    bool stochastic = false;  // random numbers: few registers are left to hold data in
};

enum class FakeQuantizeKernel : std::uint8_t {
    groups,   // a few lanes of a warp for each group, many groups a block
    block,    // one block a group
    any,      // as `groups` or `block`, of tensors that are not aligned
    split,    // two launches: ranges of slices, then the slices
    cluster,  // clusters that go from group to group, a slice a block
    grid,     // teams of blocks that do, by a cooperative launch unless they are of one block
    pairs,    // as `groups`, two vectors a lane; nearest rounding, which has one else
    few,      // a cluster a group, a slice a block: of groups that are too few for the chip
};

struct FakeQuantizePlan {
    FakeQuantizeKernel kernel = FakeQuantizeKernel::groups;
    std::uint32_t grid = 0;
    std::uint32_t block = 0;
    std::uint32_t lanes = 0;      // threads a group or slice: a power of two up to 32, or the block
    std::uint32_t slices = 0;     // split: slices a group; cluster, grid, few: blocks a group
    std::int64_t slice_size = 0;  // elements a slice, a multiple of 64 but for the last
    std::uint64_t workspace_bytes = 0;  // split: one range a slice
    std::uint32_t keeps = 0;            // chunks of each thread in dynamic shared memory
    std::uint32_t shared_bytes = 0;     // dynamic, for these
    std::uint32_t rounds = 0;           // grid: groups a team goes through
    friend bool operator==(const FakeQuantizePlan&, const FakeQuantizePlan&) = default;
};

[[nodiscard]] OPFORGE_API FakeQuantizePlan plan_fake_quantize(const FakeQuantizeShape& shape,
                                                              const PlanFacts& facts) noexcept;
/// For where a cluster or a cooperative launch is refused (MIG, MPS and green contexts shrink what
/// is resident at once): the same in two launches.
[[nodiscard]] OPFORGE_API FakeQuantizePlan
plan_fake_quantize_split(const FakeQuantizeShape& shape, const PlanFacts& facts) noexcept;

/// The bytes through which the blocks of a `grid` launch tell each other their ranges: zero before
/// the first launch.
[[nodiscard]] OPFORGE_API std::uint64_t board_bytes(const FakeQuantizePlan& plan) noexcept;
/// No plan of a device needs a larger board.
[[nodiscard]] OPFORGE_API std::uint64_t most_board_bytes(const PlanFacts& facts) noexcept;

/// The dynamic shared memory that no plan of a device goes beyond, so that a kernel is allowed it
/// once.
[[nodiscard]] OPFORGE_API std::uint32_t most_shared_bytes(const PlanFacts& facts) noexcept;

/// A call of an op that turns groups into codes. Its kernels work on eight elements at a time.
struct QuantizeShape {
    std::int64_t groups = 0;
    std::int64_t group_size = 0;
    int batch = 4;           // octets that a thread of kernel `groups` has at most
    bool aligned = true;     // whether kernels for aligned tensors can do it
    int octet_bytes = 0;     // what kernel `cluster` keeps of eight elements; 0: there is none
    bool has_small = false;  // whether there is a kernel `small`
};

enum class QuantizeKernel : std::uint8_t {
    groups,   // a few lanes of a warp for each group, many groups a block; or a block
    any,      // the same, of tensors that are not aligned
    split,    // two launches: ranges of slices, then the slices
    batches,  // as groups, of groups that are too large for their threads' registers
    cluster,  // clusters that go from group to group, a slice a block
    small,    // a lane for each octet of a group, several groups a lane
};

struct QuantizePlan {
    QuantizeKernel kernel = QuantizeKernel::groups;
    std::uint32_t grid = 0;
    std::uint32_t block = 0;
    std::uint32_t lanes = 0;      // threads a group or slice: a power of two up to 32, or the block
    std::int64_t slices = 1;      // a group; cluster: blocks
    std::int64_t slice_size = 0;  // split, cluster: elements, a multiple of 64 but for the last
    std::uint64_t workspace_bytes = 0;  // split: one range a slice
    std::uint32_t shared_bytes = 0;     // cluster: dynamic
    friend bool operator==(const QuantizePlan&, const QuantizePlan&) = default;
};
/// Empty groups are launched too: their records are written.
[[nodiscard]] OPFORGE_API QuantizePlan plan_quantize(const QuantizeShape& shape,
                                                     const PlanFacts& facts) noexcept;

/// Of the dequantizers, which reduce nothing: chunks and slices are independent.
struct DequantizePlan {
    std::uint32_t grid = 0;
    std::uint32_t block = 0;
    // Of aligned tensors, chunk by chunk: 16 bytes of values, each with its group's record.
    std::int64_t chunks_a_group = 0;  // 0: by slices
    std::int64_t groups = 0;          // of a launch; the last launch may have fewer
    // Of others, by slices:
    std::uint32_t lanes = 0;      // threads a slice: a power of two up to the block
    std::int64_t slices = 1;      // a group
    std::int64_t slice_size = 0;  // elements, a multiple of 64 but for the last
    friend bool operator==(const DequantizePlan&, const DequantizePlan&) = default;
};
///   element_bytes  of the values
///   aligned        whether every chunk of every tensor moves as a whole vector
[[nodiscard]] OPFORGE_API DequantizePlan plan_dequantize(std::int64_t groups,
                                                         std::int64_t group_size, int element_bytes,
                                                         bool aligned) noexcept;
/// The blocks of a launch of some groups, chunk by chunk.
[[nodiscard]] OPFORGE_API std::uint32_t dequantize_grid(const DequantizePlan& plan,
                                                        std::int64_t groups) noexcept;

}  // namespace opforge::runtime
