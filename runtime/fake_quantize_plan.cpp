#include "plan_parts.hpp"

#include <opforge/runtime/launch_plan.hpp>

#include <algorithm>
#include <bit>
#include <optional>

namespace opforge::runtime {
namespace {

// As the kernels have them (kernel_sources/quantizer/fake_quantize.cu).
constexpr std::int64_t kTeamThreads = 512;
constexpr std::int64_t kDrawnThreads = 512;  // of a block, at most; stochastic rounding
constexpr std::int64_t kDrawnTeamThreads = 1024;
constexpr std::int64_t kHeldChunks = 4;  // of a thread of a team, in registers; nearest rounding

constexpr std::int64_t kRows = 8;     // chunks of a thread where others of its kind take turns
constexpr std::int64_t kFewRows = 4;  // where groups are too few for the chip
// Threads of a multiprocessor that has enough to do. Those that draw share what each does for a
// group sooner.
constexpr std::int64_t kBusyThreads = 1024;
constexpr std::int64_t kBusyDrawingThreads = 512;
constexpr std::int64_t kSmallThreads = 256;  // of a small block of a cluster

std::int64_t chunks_of(const FakeQuantizeShape& shape) {
    return divide_up_by_power(shape.group_size, chunk_of(shape.element_bytes));
}

/// Chunks of a thread: `most`, but fewer where a tensor is too small to keep every multiprocessor
/// busy that way. What a thread does one after the other is then all that is waited for.
std::int64_t chunks_a_thread(const FakeQuantizeShape& shape, const PlanFacts& facts,
                             std::int64_t most) {
    const std::int64_t busy =
        multiprocessors_of(facts) * (shape.stochastic ? kBusyDrawingThreads : kBusyThreads);
    if (shape.groups >= most * busy) {
        return most;
    }
    const std::int64_t chunks = shape.groups * chunks_of(shape);
    std::int64_t share = most;
    while (share > 1 && chunks <= share / 2 * busy) {
        share /= 2;
    }
    return share;
}

/// Whether clusters of the largest size, one for each group, leave multiprocessors idle.
bool leaves_idle(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    return shape.groups * kMaxCluster <= multiprocessors_of(facts);
}

/// Threads of a block that draws: many for large groups.
std::int64_t drawn_threads(const FakeQuantizeShape& shape) {
    return chunks_of(shape) <= 1024 ? kDrawnThreads / 2 : kDrawnThreads;
}

/// The largest group for one block where larger ones may go to clusters.
std::int64_t most_block_chunks(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    const bool clusters_are_faster =
        facts.cluster_launch && shape.aligned && shape.element_bytes == 2 && !shape.stochastic;
    return clusters_are_faster ? kMaxBlockChunks / 2 : kMaxBlockChunks;
}

void keep(FakeQuantizePlan& plan, std::int64_t chunks) {
    plan.keeps = static_cast<std::uint32_t>(chunks);
    plan.shared_bytes = static_cast<std::uint32_t>(chunks * plan.block * kChunkBytes);
}

/// With stochastic rounding a kernel for aligned tensors has all of a thread's chunks in shared
/// memory; where that is too small, the kernel for any tensor takes its place.
void keep_all(FakeQuantizePlan& plan, std::int64_t chunks, const PlanFacts& facts) {
    if (chunks * plan.block * kChunkBytes <= shared_for(1, facts)) {
        keep(plan, chunks);
    } else {
        plan.kernel = FakeQuantizeKernel::any;
    }
}

/// Chunks that a lane of a group can have, as the kernels have them: several share what each lane
/// computes for the group.
std::int64_t most_chunks_a_lane(const FakeQuantizeShape& shape) {
    if (shape.stochastic) {
        return 4;
    }
    // Without alignment one chunk a lane is never read twice.
    return shape.aligned && chunks_of(shape) > 2 ? 2 : 1;
}

/// The kernel for `lanes` lanes a group.
FakeQuantizeKernel kernel_of_lanes(const FakeQuantizeShape& shape, std::int64_t lanes) {
    if (!shape.aligned) {
        return FakeQuantizeKernel::any;
    }
    return !shape.stochastic && chunks_of(shape) > lanes ? FakeQuantizeKernel::pairs
                                                         : FakeQuantizeKernel::groups;
}

/// A few lanes of a warp for each group; nothing where a group is too large for a warp.
std::optional<FakeQuantizePlan> plan_groups(const FakeQuantizeShape& shape,
                                            const PlanFacts& facts) {
    const std::int64_t chunks = chunks_of(shape);
    std::int64_t lanes = power_of_two_up(
        divide_up(chunks, chunks_a_thread(shape, facts, most_chunks_a_lane(shape))));
    if (lanes > kMaxLanes) {
        return std::nullopt;
    }
    if (chunks > 2) {
        // Memory moves in pairs of chunks. Draws for 32 bits are bound by memory, which moves half
        // a line better than a quarter.
        const bool by_four = shape.stochastic && shape.element_bytes == 4 && chunks > 4;
        lanes = std::max<std::int64_t>(lanes, by_four ? 4 : 2);
    }
    FakeQuantizePlan plan;
    plan.kernel = kernel_of_lanes(shape, lanes);
    plan.block = static_cast<std::uint32_t>(kGroupsThreads);
    plan.lanes = static_cast<std::uint32_t>(lanes);
    plan.grid = grid_for(divide_up_by_power(
        shape.groups, kGroupsThreads >> std::countr_zero(static_cast<std::uint64_t>(lanes))));
    if (shape.aligned && shape.stochastic) {
        keep_all(plan, divide_up_by_power(chunks, lanes), facts);
    }
    return plan;
}

/// One block a group.
FakeQuantizePlan plan_block(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    const std::int64_t chunks = chunks_of(shape);
    // Several chunks a thread share what each thread computes for the group, in blocks small enough
    // that several of a multiprocessor's take turns.
    const std::int64_t a_thread =
        chunks_a_thread(shape, facts, shape.stochastic || shape.aligned ? 4 : 2);
    const std::int64_t most = shape.stochastic && shape.aligned ? drawn_threads(shape)
                              : a_thread == 1 || chunks > 4096  ? 1024
                              : chunks <= 1024                  ? 256
                                                                : 512;
    FakeQuantizePlan plan;
    plan.kernel = shape.aligned ? FakeQuantizeKernel::block : FakeQuantizeKernel::any;
    plan.block = static_cast<std::uint32_t>(
        std::min({whole_warps(divide_up(chunks, a_thread)), most, most_threads(facts)}));
    plan.lanes = plan.block;
    plan.grid = grid_for(shape.groups);
    const std::int64_t rows =
        chunks <= kMaxBlockChunks
            ? (static_cast<std::uint32_t>(chunks) + plan.block - 1) / plan.block  // 32 bits: faster
            : divide_up(chunks, plan.block);
    if (shape.aligned && shape.stochastic) {
        keep_all(plan, rows, facts);
        return plan;
    }
    // A thread's first chunk is held in a register. Two blocks at least, one of which loads while
    // the other stores: one alone would leave memory idle between the two.
    const std::int64_t beyond = rows - 1;
    if (shape.aligned && beyond > 0 && beyond * plan.block * kChunkBytes <= shared_for(2, facts)) {
        keep(plan, beyond);
    }
    return plan;
}

/// Blocks of a team on a multiprocessor: they take turns at loading and storing.
std::int64_t resident_teams(const PlanFacts& facts) {
    return facts.max_threads_per_multiprocessor < 3 * kTeamThreads ? 1 : 2;
}

/// How many chunks a thread keeps on chip, where `resident` blocks of `threads` share one.
std::int64_t chunks_held(const FakeQuantizeShape& shape, std::int64_t threads,
                         std::int64_t resident, const PlanFacts& facts) {
    const std::int64_t shared = shared_for(resident, facts) / (threads * kChunkBytes);
    return shape.stochastic ? shared : kHeldChunks + shared / kHeldChunks * kHeldChunks;
}

/// A team of `blocks` blocks of `threads` a group, a slice each.
FakeQuantizePlan plan_team(FakeQuantizeKernel kernel, const FakeQuantizeShape& shape,
                           std::int64_t blocks, std::int64_t threads) {
    FakeQuantizePlan plan;
    plan.kernel = kernel;
    plan.block = static_cast<std::uint32_t>(threads);
    plan.lanes = plan.block;
    plan.slices = static_cast<std::uint32_t>(blocks);
    plan.slice_size = slice_size_for(shape.group_size, blocks);
    return plan;
}

/// Chunks of a thread of a team.
std::int64_t rows_of(const FakeQuantizePlan& plan, const FakeQuantizeShape& shape) {
    return divide_up(divide_up_by_power(plan.slice_size, chunk_of(shape.element_bytes)),
                     plan.block);
}

/// The blocks of a cluster, and how many of a multiprocessor take turns: what a block loads of the
/// next group is under way while it writes this one.
struct ClusterShape {
    std::int64_t blocks;
    std::int64_t threads;   // of a block
    std::int64_t resident;  // blocks of a multiprocessor
};

/// Small blocks in large clusters: while some wait for their cluster, others load and store.
ClusterShape small_blocks(const FakeQuantizeShape& shape) {
    const std::int64_t chunks = chunks_of(shape);
    const std::int64_t threads =
        chunks > kMaxCluster * kSmallThreads * kRows ? kTeamThreads : kSmallThreads;
    return {power_of_two_up(divide_up(chunks, threads * kRows)), threads, 2};
}

/// As few blocks as there is shared memory for: 16-bit draws keep a multiprocessor busy with
/// whatever threads it has, and fewer blocks wait for each other.
ClusterShape large_blocks(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    const std::int64_t threads = std::min(kDrawnTeamThreads, most_threads(facts));
    const std::int64_t rows = std::max<std::int64_t>(chunks_held(shape, threads, 1, facts), 1);
    return {power_of_two_up(divide_up(chunks_of(shape), threads * rows)), threads, 1};
}

/// For groups that are too few for the chip: they are shared by more blocks.
ClusterShape blocks_of_few(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    const std::int64_t blocks = power_of_two_up(divide_up(chunks_of(shape), kTeamThreads * kRows));
    return {shared_by(shape.groups, blocks, facts), kTeamThreads, 1};
}

ClusterShape cluster_for(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    const ClusterShape cluster = shape.stochastic && shape.element_bytes == 2
                                     ? large_blocks(shape, facts)
                                     : small_blocks(shape);
    return are_few(shape.groups, cluster.blocks, facts) ? blocks_of_few(shape, facts) : cluster;
}

/// Nothing where no cluster can hold a group, or the whole chip does it better.
std::optional<FakeQuantizePlan> plan_cluster(const FakeQuantizeShape& shape,
                                             const PlanFacts& facts) {
    if (!facts.cluster_launch || most_threads(facts) < kTeamThreads) {
        return std::nullopt;
    }
    const ClusterShape cluster = cluster_for(shape, facts);
    if (cluster.blocks > kMaxCluster || shape.groups > kMaxGrid / cluster.blocks) {
        return std::nullopt;
    }
    FakeQuantizePlan plan =
        plan_team(FakeQuantizeKernel::cluster, shape, cluster.blocks, cluster.threads);
    const std::int64_t rows = rows_of(plan, shape);
    // Where clusters leave multiprocessors idle, plan_few has had the groups of a few chunks a
    // thread. Of two large blocks all multiprocessors can have one; of more, some are left over.
    const bool left_over = cluster.threads > kTeamThreads && cluster.blocks > 2;
    if (rows * cluster.threads * kChunkBytes > shared_for(cluster.resident, facts) ||
        (facts.cooperative_launch && (leaves_idle(shape, facts) || left_over))) {
        return std::nullopt;
    }
    keep(plan, rows);
    plan.grid = grid_for(shape.groups * cluster.blocks);
    return plan;
}

/// A cluster a group, where groups are too few for the chip; nothing where a thread would have more
/// than a few chunks, or one block does as well.
std::optional<FakeQuantizePlan> plan_few(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    constexpr std::int64_t kOneBlock = 512;  // chunks
    const std::int64_t chunks = chunks_of(shape);
    if (!facts.cluster_launch || !shape.aligned || most_threads(facts) < kTeamThreads ||
        chunks <= kOneBlock) {
        return std::nullopt;
    }
    const std::int64_t blocks = shared_by(shape.groups, 1, facts);
    if (blocks == 1) {
        return std::nullopt;
    }
    const std::int64_t share = divide_up(chunks, blocks);
    // Small blocks, where they are enough: their threads have more to share what each does for the
    // group.
    const std::int64_t threads = share > kSmallThreads * kFewRows ? kTeamThreads : kSmallThreads;
    FakeQuantizePlan plan =
        plan_team(FakeQuantizeKernel::few, shape, blocks, std::min(whole_warps(share), threads));
    const std::int64_t rows = rows_of(plan, shape);
    if (rows > kFewRows) {
        return std::nullopt;
    }
    keep(plan, shape.stochastic ? rows : rows - 1);  // nearest rounding: the first in registers
    if (plan.shared_bytes > shared_for(1, facts)) {
        return std::nullopt;
    }
    plan.grid = grid_for(shape.groups * blocks);
    return plan;
}

/// Teams of blocks, all of them resident; nothing where there are no cooperative launches.
std::optional<FakeQuantizePlan> plan_grid(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    if (!facts.cooperative_launch || most_threads(facts) < kTeamThreads) {
        return std::nullopt;
    }
    const std::int64_t multiprocessors = multiprocessors_of(facts);
    std::int64_t threads =
        shape.stochastic ? std::min(kDrawnTeamThreads, most_threads(facts)) : kTeamThreads;
    std::int64_t resident = shape.stochastic ? 1 : resident_teams(facts);
    std::int64_t held = chunks_held(shape, threads, resident, facts);
    std::int64_t size = divide_up(chunks_of(shape), std::max<std::int64_t>(held, 1) * threads);
    if (shape.groups == 1 || size > multiprocessors) {
        // The whole chip for one group at a time, with one block of all the memory a
        // multiprocessor: fewer blocks wait for each other.
        resident = 1;
        held = chunks_held(shape, threads, resident, facts);
        size = multiprocessors;
    }
    const std::int64_t teams = std::min(shape.groups, multiprocessors * resident / size);
    size = multiprocessors * resident / teams;  // as large as leaves room for as many
    FakeQuantizePlan plan = plan_team(FakeQuantizeKernel::grid, shape, size, threads);
    const std::int64_t rows = rows_of(plan, shape);
    if (shape.stochastic) {
        keep(plan, std::min(rows, held));
    } else {
        const std::int64_t kept = std::min(divide_up(rows, kHeldChunks) * kHeldChunks, held);
        keep(plan, std::max<std::int64_t>(kept - kHeldChunks, 0));
    }
    plan.grid = grid_for(teams * size);
    const std::int64_t rounds = divide_up(shape.groups, teams);
    if (rounds > kMaxGrid) {
        return std::nullopt;  // a round's tag has 32 bits
    }
    plan.rounds = static_cast<std::uint32_t>(rounds);
    return plan;
}

}  // namespace

std::uint32_t most_shared_bytes(const PlanFacts& facts) noexcept {
    return static_cast<std::uint32_t>(shared_for(1, facts));
}

std::uint64_t board_bytes(const FakeQuantizePlan& plan) noexcept {
    constexpr std::uint64_t kRounds = 2;
    constexpr std::uint64_t kWords = 2;  // of a range
    return kRounds * kWords * plan.grid * sizeof(std::uint64_t);
}

std::uint64_t most_board_bytes(const PlanFacts& facts) noexcept {
    constexpr std::int64_t kMostBlocks = 2;  // of a multiprocessor
    FakeQuantizePlan plan;
    plan.grid = grid_for(multiprocessors_of(facts) * kMostBlocks);
    return board_bytes(plan);
}

FakeQuantizePlan plan_fake_quantize_split(const FakeQuantizeShape& shape,
                                          const PlanFacts& facts) noexcept {
    FakeQuantizePlan plan;
    plan.kernel = FakeQuantizeKernel::split;
    plan.block = static_cast<std::uint32_t>(most_threads(facts));
    plan.lanes = plan.block;
    const Slices slices = split_groups(shape.groups, shape.group_size, facts);
    plan.slices = static_cast<std::uint32_t>(slices.count);
    plan.slice_size = slices.size;
    plan.grid = grid_for(shape.groups * slices.count);
    plan.workspace_bytes = static_cast<std::uint64_t>(shape.groups * slices.count * kRangeBytes);
    return plan;
}

FakeQuantizePlan plan_fake_quantize(const FakeQuantizeShape& shape,
                                    const PlanFacts& facts) noexcept {
    if (shape.groups <= 0 || shape.group_size <= 0) {
        return {};
    }
    if (const auto plan = plan_groups(shape, facts)) {
        return *plan;
    }
    if (const auto plan = plan_few(shape, facts)) {
        return *plan;
    }
    if (chunks_of(shape) <= most_block_chunks(shape, facts)) {
        return plan_block(shape, facts);
    }
    if (shape.aligned) {
        if (const auto plan = plan_cluster(shape, facts)) {
            return *plan;
        }
        if (const auto plan = plan_grid(shape, facts)) {
            return *plan;
        }
    }
    return are_blocks_enough(shape.groups, shape.group_size, facts)
               ? plan_block(shape, facts)
               : plan_fake_quantize_split(shape, facts);
}

}  // namespace opforge::runtime
