#include <opforge/runtime/launch_plan.hpp>

#include <algorithm>
#include <bit>

namespace opforge::runtime {
namespace {

// As the kernels have them (kernel_sources/quantizer/fake_quantize.cu).
constexpr std::int64_t kChunkBytes = 16;
constexpr std::int64_t kGroupsThreads = 256;

// Two chunks a thread of `block`, so that the group's parameters, which each thread computes, are
// shared by some work; up to here in blocks small enough that several of a multiprocessor's take
// turns.
constexpr std::int64_t kChunksOfHalfBlock = 2048;
constexpr std::int64_t kMaxBlockChunks = 4096;  // of a block that is sure to find its group in L1

constexpr std::int64_t kMaxLanes = 32;
constexpr std::int64_t kMaxGrid = 0x7fffffff;
constexpr std::int64_t kSliceAlignment = 64;
constexpr std::int64_t kMinSlice = 16384;  // below this a slice's launch costs more than its bytes
constexpr std::int64_t kRangeBytes = 8;

std::int64_t divide_up(std::int64_t value, std::int64_t by) {
    return (value + by - 1) / by;
}

std::int64_t power_of_two_up(std::int64_t value) {
    return static_cast<std::int64_t>(
        std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(value, 1))));
}

std::uint32_t grid_for(std::int64_t blocks) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(blocks, 1, kMaxGrid));
}

}  // namespace

std::uint32_t most_shared_bytes(const PlanFacts& facts) noexcept {
    // Two blocks of a multiprocessor, one of which loads while the other stores: one alone would
    // leave memory idle between the two. A block pays for the kernel's own bytes and the system's.
    constexpr std::int64_t kOwn = 2048;
    const std::int64_t bytes = std::min<std::int64_t>(facts.shared_bytes_per_block,
                                                      facts.shared_bytes_per_multiprocessor / 2) -
                               kOwn;
    return static_cast<std::uint32_t>(std::max<std::int64_t>(bytes, 0) / kChunkBytes * kChunkBytes);
}

FakeQuantizePlan plan_fake_quantize(const FakeQuantizeShape& shape,
                                    const PlanFacts& facts) noexcept {
    FakeQuantizePlan plan;
    if (shape.groups <= 0 || shape.group_size <= 0) {
        return plan;
    }
    const std::int64_t chunks = divide_up(shape.group_size, kChunkBytes / shape.element_bytes);
    const std::int64_t multiprocessors = std::max(facts.multiprocessors, 1);

    if (chunks <= kMaxLanes * shape.chunks_a_lane) {
        plan.kernel = shape.aligned ? FakeQuantizeKernel::groups : FakeQuantizeKernel::any;
        plan.block = static_cast<std::uint32_t>(kGroupsThreads);
        const std::int64_t lanes = power_of_two_up(divide_up(chunks, shape.chunks_a_lane));
        plan.lanes = static_cast<std::uint32_t>(lanes);
        plan.grid = grid_for(divide_up(shape.groups, kGroupsThreads / lanes));
        return plan;
    }

    const std::int64_t most_threads =
        std::clamp<std::int64_t>(facts.max_threads_per_block / 32 * 32, 32, 1024);
    if (chunks <= kMaxBlockChunks || shape.groups >= 2 * multiprocessors ||
        shape.group_size < 2 * kMinSlice) {
        plan.kernel = shape.aligned ? FakeQuantizeKernel::block : FakeQuantizeKernel::any;
        const auto whole_warps = [](std::int64_t threads) { return divide_up(threads, 32) * 32; };
        const std::int64_t cap =
            std::min<std::int64_t>(chunks <= kChunksOfHalfBlock ? 512 : 1024, most_threads);
        const std::int64_t least = std::min<std::int64_t>({128, whole_warps(chunks), cap});
        plan.block = static_cast<std::uint32_t>(
            std::clamp(whole_warps(divide_up(chunks, shape.chunks_a_thread)), least, cap));
        plan.lanes = plan.block;
        plan.grid = grid_for(shape.groups);
        const std::int64_t beyond = (chunks - plan.block) * kChunkBytes;
        if (shape.aligned && beyond > 0 && beyond <= most_shared_bytes(facts)) {
            plan.shared_bytes = static_cast<std::uint32_t>(beyond);
        }
        return plan;
    }

    // Four slices a multiprocessor: two resident blocks each, twice over, so that a slow block
    // evens out.
    plan.kernel = FakeQuantizeKernel::split;
    plan.block = static_cast<std::uint32_t>(most_threads);
    plan.lanes = plan.block;
    const std::int64_t wanted = std::clamp<std::int64_t>(
        divide_up(4 * multiprocessors, shape.groups), 1, divide_up(shape.group_size, kMinSlice));
    plan.slice_size =
        divide_up(divide_up(shape.group_size, wanted), kSliceAlignment) * kSliceAlignment;
    const std::int64_t slices = divide_up(shape.group_size, plan.slice_size);
    plan.slices = static_cast<std::uint32_t>(slices);
    plan.grid = grid_for(shape.groups * slices);
    plan.workspace_bytes = static_cast<std::uint64_t>(shape.groups * slices * kRangeBytes);
    return plan;
}

QuantizePlan plan_quantize(std::int64_t groups, std::int64_t group_size, const PlanFacts& facts,
                           int octets_a_thread) noexcept {
    // Eight elements are a chunk here, which is what fake quantization's is at two bytes each.
    const FakeQuantizePlan like =
        plan_fake_quantize({.groups = groups,
                            .group_size = std::max<std::int64_t>(group_size, 1),
                            .element_bytes = 2,
                            .aligned = true,
                            .chunks_a_lane = octets_a_thread,
                            .chunks_a_thread = octets_a_thread},
                           facts);
    QuantizePlan plan{.split = like.kernel == FakeQuantizeKernel::split,
                      .grid = like.grid,
                      .block = like.block,
                      .lanes = like.lanes,
                      .slices = 1,
                      .slice_size = group_size,
                      .workspace_bytes = like.workspace_bytes};
    if (plan.split) {
        plan.slices = like.slices;
        plan.slice_size = like.slice_size;
    }
    return plan;
}

DequantizePlan plan_dequantize(std::int64_t groups, std::int64_t group_size) noexcept {
    constexpr std::int64_t kThreads = 256;
    constexpr std::int64_t kOctets = 8;
    // Four octets a thread: enough loads under way, and the group's record is read once for them.
    constexpr std::int64_t kSlice = kThreads * 4 * kOctets;
    DequantizePlan plan;
    if (groups <= 0 || group_size <= 0) {
        return plan;
    }
    plan.block = static_cast<std::uint32_t>(kThreads);
    plan.slice_size = std::min(group_size, kSlice);
    plan.slices = divide_up(group_size, plan.slice_size);
    const std::int64_t octets = divide_up(plan.slice_size, kOctets);
    const std::int64_t lanes = std::min(power_of_two_up(divide_up(octets, 2)), kThreads);
    plan.lanes = static_cast<std::uint32_t>(lanes);
    plan.grid = grid_for(divide_up(groups * plan.slices, kThreads / lanes));
    return plan;
}

}  // namespace opforge::runtime
