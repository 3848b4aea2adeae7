#include "plan_parts.hpp"

#include <opforge/runtime/launch_plan.hpp>

#include <algorithm>
#include <optional>

namespace opforge::runtime {
namespace {

constexpr std::int64_t kOctet = 8;
constexpr std::int64_t kBatchThreads = 512;  // most of kernels for aligned tensors
constexpr std::int64_t kBlockOctets = 2048;  // of a cluster's block

// Of the dequantizers; chunks of a thread, enough loads under way.
constexpr std::int64_t kDecodeThreads = 256;
constexpr std::int64_t kDecodeChunks = 4;

/// Clusters that have all of a group on chip, so that nothing is read a second time; nothing where
/// none can, or one block's registers do as well.
std::optional<QuantizePlan> plan_quantize_cluster(const QuantizeShape& shape,
                                                  const PlanFacts& facts) {
    if (!facts.cluster_launch || !shape.aligned || shape.octet_bytes == 0 ||
        most_threads(facts) < kBatchThreads ||
        divide_up(shape.group_size, kOctet) <= shape.batch * kBatchThreads ||
        shape.groups > kMaxGrid / kMaxCluster) {
        return std::nullopt;
    }
    // Small blocks, several of a multiprocessor: while some wait for their cluster, others load and
    // store. Blocks of more memory where eight of them hold no group.
    const std::int64_t octets = divide_up(shape.group_size, kOctet);
    std::int64_t threads = shape.octet_bytes > kChunkBytes ? kBatchThreads : kBatchThreads / 2;
    std::int64_t blocks = power_of_two_up(divide_up(octets, kBlockOctets));
    if (blocks > kMaxCluster) {
        blocks = kMaxCluster;
        threads = kBatchThreads;
    }
    blocks = shared_by(shape.groups, blocks, facts);
    QuantizePlan plan;
    plan.kernel = QuantizeKernel::cluster;
    plan.block = static_cast<std::uint32_t>(threads);
    plan.lanes = plan.block;
    plan.slices = blocks;
    plan.slice_size = slice_size_for(shape.group_size, blocks);
    plan.grid = grid_for(shape.groups * blocks);
    const std::int64_t shared =
        divide_up(plan.slice_size / kOctet, threads) * threads * shape.octet_bytes;
    if (shared > shared_for(1, facts)) {
        return std::nullopt;
    }
    plan.shared_bytes = static_cast<std::uint32_t>(shared);
    return plan;
}

/// Groups of a few octets, a lane each; nothing where a lane of kernel `groups` has as many octets
/// of one group.
std::optional<QuantizePlan> plan_quantize_small(const QuantizeShape& shape,
                                                const PlanFacts& facts) {
    const std::int64_t octets = shape.group_size / kOctet;
    if (!shape.has_small || !shape.aligned || most_threads(facts) < kGroupsThreads ||
        octets < shape.batch || octets > 2 * shape.batch || power_of_two_up(octets) != octets) {
        return std::nullopt;
    }
    QuantizePlan plan;
    plan.kernel = QuantizeKernel::small;
    plan.block = static_cast<std::uint32_t>(kGroupsThreads);
    plan.lanes = static_cast<std::uint32_t>(octets);
    plan.slice_size = shape.group_size;
    plan.grid = grid_for(divide_up(shape.groups, kGroupsThreads / octets * shape.batch));
    return plan;
}

}  // namespace

QuantizePlan plan_quantize(const QuantizeShape& shape, const PlanFacts& facts) noexcept {
    constexpr std::int64_t kNeighbours = 4;
    QuantizePlan plan;
    if (shape.groups <= 0) {
        return plan;
    }
    if (const auto cluster = plan_quantize_cluster(shape, facts)) {
        return *cluster;
    }
    if (const auto small = plan_quantize_small(shape, facts)) {
        return *small;
    }
    plan.slice_size = shape.group_size;
    const std::int64_t octets = std::max<std::int64_t>(divide_up(shape.group_size, kOctet), 1);
    const bool blocks =
        octets <= kMaxBlockChunks || are_blocks_enough(shape.groups, shape.group_size, facts);
    if (!blocks) {
        const Slices slices = split_groups(shape.groups, shape.group_size, facts);
        plan.kernel = QuantizeKernel::split;
        plan.block = static_cast<std::uint32_t>(most_threads(facts));
        plan.lanes = plan.block;
        plan.slices = slices.count;
        plan.slice_size = slices.size;
        plan.grid = grid_for(shape.groups * slices.count);
        plan.workspace_bytes =
            static_cast<std::uint64_t>(shape.groups * slices.count * kRangeBytes);
        return plan;
    }
    const std::int64_t most = std::min(most_threads(facts), kBatchThreads);
    const bool batches = shape.aligned && most >= kGroupsThreads;
    // Several octets a thread share what each thread does for its group.
    const std::int64_t threads = divide_up(octets, batches ? shape.batch : 2);
    plan.kernel = !batches          ? QuantizeKernel::any
                  : threads <= most ? QuantizeKernel::groups
                                    : QuantizeKernel::batches;
    if (threads <= kMaxLanes) {
        // What neighbours load at once should be half a cache line at least.
        const std::int64_t lanes =
            power_of_two_up(std::max(threads, std::min(octets, kNeighbours)));
        plan.block = static_cast<std::uint32_t>(kGroupsThreads);
        plan.lanes = static_cast<std::uint32_t>(lanes);
        plan.grid = grid_for(divide_up(shape.groups, kGroupsThreads / lanes));
    } else {
        plan.block = static_cast<std::uint32_t>(
            std::min(whole_warps(threads), batches ? most : most_threads(facts)));
        plan.lanes = plan.block;
        plan.grid = grid_for(shape.groups);
    }
    return plan;
}

std::uint32_t dequantize_grid(const DequantizePlan& plan, std::int64_t groups) noexcept {
    return grid_for(divide_up(groups * plan.chunks_a_group, kDecodeThreads * kDecodeChunks));
}

DequantizePlan plan_dequantize(std::int64_t groups, std::int64_t group_size, int element_bytes,
                               bool aligned) noexcept {
    constexpr std::int64_t kMostChunks = 0x7fffffff;  // of a launch, which counts in 32 bits
    constexpr std::int64_t kNeighbours = 4;           // store half a cache line at once
    const std::int64_t chunk = chunk_of(element_bytes);
    const std::int64_t slice = kDecodeThreads * kDecodeChunks * chunk;
    DequantizePlan plan;
    if (groups <= 0 || group_size <= 0) {
        return plan;
    }
    plan.block = static_cast<std::uint32_t>(kDecodeThreads);
    if (aligned && group_size / chunk <= kMostChunks) {
        plan.chunks_a_group = group_size / chunk;
        plan.groups = std::min(groups, kMostChunks / plan.chunks_a_group);
        plan.grid = dequantize_grid(plan, plan.groups);
        return plan;
    }
    plan.slice_size = std::min(group_size, slice);
    plan.slices = divide_up(group_size, plan.slice_size);
    const std::int64_t chunks = divide_up(plan.slice_size, chunk);
    const std::int64_t lanes = std::min(
        power_of_two_up(std::max(divide_up(chunks, kDecodeChunks), std::min(chunks, kNeighbours))),
        kDecodeThreads);
    plan.lanes = static_cast<std::uint32_t>(lanes);
    plan.grid = grid_for(divide_up(groups * plan.slices, kDecodeThreads / lanes));
    return plan;
}

}  // namespace opforge::runtime
