#include <opforge/runtime/launch_plan.hpp>

#include <algorithm>
#include <bit>
#include <optional>

namespace opforge::runtime {
namespace {

// As the kernels have them (kernel_sources/quantizer/fake_quantize.cu).
constexpr std::int64_t kChunkBytes = 16;
constexpr std::int64_t kGroupsThreads = 256;
constexpr std::int64_t kTeamThreads = 512;
constexpr std::int64_t kDrawnThreads = 256;  // of a block or a cluster's; stochastic rounding
constexpr std::int64_t kDrawnGridThreads = 1024;
constexpr std::int64_t kDrawnRows = 8;   // chunks of a thread of a cluster, unless that has no more
constexpr std::int64_t kHeldChunks = 4;  // of a thread of a team, in registers; nearest rounding
constexpr std::int64_t kMaxCluster = 8;  // what every device with clusters can do

constexpr std::int64_t kMaxLanes = 32;
constexpr std::int64_t kMaxBlockChunks = 4096;  // of a block that is sure to find its group in L1
constexpr std::int64_t kBusyThreads = 1024;     // of a multiprocessor that has enough to do
constexpr std::int64_t kMaxGrid = 0x7fffffff;
constexpr std::int64_t kSliceAlignment = 64;
constexpr std::int64_t kMinSlice = 16384;  // below this a slice's launch costs more than its bytes
constexpr std::int64_t kRangeBytes = 8;

// A block pays for the kernel's own shared memory and the system's.
constexpr std::int64_t kOwnShared = 2048;

std::int64_t divide_up(std::int64_t value, std::int64_t by) {
    return (value + by - 1) / by;
}

/// By a power of two: a shift. Divisions are the dearest thing that a plan does, and a plan the
/// dearest that a call does before its launch.
std::int64_t divide_up_by_power(std::int64_t value, std::int64_t by) {
    return (value + by - 1) >> std::countr_zero(static_cast<std::uint64_t>(by));
}

std::int64_t power_of_two_up(std::int64_t value) {
    return static_cast<std::int64_t>(
        std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(value, 1))));
}

std::int64_t whole_warps(std::int64_t threads) {
    return divide_up(threads, 32) * 32;
}

std::uint32_t grid_for(std::int64_t blocks) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(blocks, 1, kMaxGrid));
}

std::int64_t multiprocessors_of(const PlanFacts& facts) {
    return std::max(facts.multiprocessors, 1);
}

/// The largest block, in whole warps.
std::int64_t most_threads(const PlanFacts& facts) {
    return std::clamp<std::int64_t>(facts.max_threads_per_block / 32 * 32, 32, 1024);
}

/// Dynamic shared memory of a block of which `blocks` are to be resident on a multiprocessor.
std::int64_t shared_for(std::int64_t blocks, const PlanFacts& facts) {
    const std::int64_t bytes = std::min<std::int64_t>(
        facts.shared_bytes_per_block, facts.shared_bytes_per_multiprocessor / blocks);
    return std::max<std::int64_t>(bytes - kOwnShared, 0) / kChunkBytes * kChunkBytes;
}

/// Elements of a chunk.
std::int64_t chunk_of(int element_bytes) {
    return kChunkBytes >> std::countr_zero(static_cast<unsigned>(element_bytes));
}

std::int64_t chunks_of(const FakeQuantizeShape& shape) {
    return divide_up_by_power(shape.group_size, chunk_of(shape.element_bytes));
}

/// Chunks of a thread: `most`, but fewer where a tensor is too small to give every multiprocessor a
/// thousand threads that way. What a thread does one after the other is then all that is waited
/// for.
std::int64_t chunks_a_thread(const FakeQuantizeShape& shape, const PlanFacts& facts,
                             std::int64_t most) {
    const std::int64_t busy = multiprocessors_of(facts) * kBusyThreads;
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

/// The largest group for one block where larger ones may go to clusters.
std::int64_t most_block_chunks(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    if (!facts.cluster_launch || !shape.aligned || !shape.stochastic) {
        return kMaxBlockChunks;
    }
    return leaves_idle(shape, facts) ? 1024 : kDrawnThreads * kDrawnRows;
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
        lanes = std::max<std::int64_t>(lanes, 2);  // memory moves in pairs of chunks
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
    const std::int64_t a_thread = chunks_a_thread(shape, facts, shape.stochastic ? 4 : 2);
    const std::int64_t most = shape.stochastic && shape.aligned ? kDrawnThreads
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

/// A team of `blocks` blocks of `threads` a group, a slice each, of which a thread keeps at most
/// `held` chunks.
FakeQuantizePlan plan_team(FakeQuantizeKernel kernel, const FakeQuantizeShape& shape,
                           std::int64_t blocks, std::int64_t threads, std::int64_t held) {
    FakeQuantizePlan plan;
    plan.kernel = kernel;
    plan.block = static_cast<std::uint32_t>(threads);
    plan.lanes = plan.block;
    plan.slices = static_cast<std::uint32_t>(blocks);
    plan.slice_size =
        divide_up(divide_up(shape.group_size, blocks), kSliceAlignment) * kSliceAlignment;
    const std::int64_t chunks =
        divide_up(divide_up_by_power(plan.slice_size, chunk_of(shape.element_bytes)), threads);
    if (shape.stochastic) {
        keep(plan, std::min(chunks, held));
    } else {
        const std::int64_t kept = std::min(divide_up(chunks, kHeldChunks) * kHeldChunks, held);
        keep(plan, std::max<std::int64_t>(kept - kHeldChunks, 0));
    }
    return plan;
}

/// One cluster a group; nothing where none can hold a group.
std::optional<FakeQuantizePlan> plan_cluster(const FakeQuantizeShape& shape,
                                             const PlanFacts& facts) {
    if (!facts.cluster_launch || most_threads(facts) < kTeamThreads) {
        return std::nullopt;
    }
    // With random numbers small blocks of few chunks a thread, so that while some load others draw;
    // three of the largest at least.
    constexpr std::int64_t kDrawnBlocks = 3;
    const std::int64_t threads = shape.stochastic ? kDrawnThreads : kTeamThreads;
    const std::int64_t held =
        chunks_held(shape, threads, shape.stochastic ? kDrawnBlocks : resident_teams(facts), facts);
    const std::int64_t wanted = !shape.stochastic           ? held
                                : leaves_idle(shape, facts) ? 1
                                                            : kDrawnRows;
    const std::int64_t size = std::min(
        power_of_two_up(divide_up(chunks_of(shape), std::max<std::int64_t>(wanted, 1) * threads)),
        kMaxCluster);
    if (chunks_of(shape) > size * threads * held || shape.groups > kMaxGrid / size) {
        return std::nullopt;
    }
    FakeQuantizePlan plan = plan_team(FakeQuantizeKernel::cluster, shape, size, threads, held);
    plan.grid = grid_for(shape.groups * size);
    return plan;
}

/// Teams of blocks, all of them resident; nothing where there are no cooperative launches.
std::optional<FakeQuantizePlan> plan_grid(const FakeQuantizeShape& shape, const PlanFacts& facts) {
    if (!facts.cooperative_launch || most_threads(facts) < kTeamThreads) {
        return std::nullopt;
    }
    const std::int64_t multiprocessors = multiprocessors_of(facts);
    std::int64_t threads = kTeamThreads;
    std::int64_t resident = resident_teams(facts);
    std::int64_t held = chunks_held(shape, threads, resident, facts);
    std::int64_t size = divide_up(chunks_of(shape), std::max<std::int64_t>(held, 1) * threads);
    if (shape.groups == 1 || size > multiprocessors) {
        // The whole chip for one group at a time, with one block of all the memory a
        // multiprocessor: fewer blocks wait for each other.
        threads = shape.stochastic ? std::min(kDrawnGridThreads, most_threads(facts)) : threads;
        resident = 1;
        held = chunks_held(shape, threads, resident, facts);
        size = multiprocessors;
    }
    FakeQuantizePlan plan = plan_team(FakeQuantizeKernel::grid, shape, size, threads, held);
    const std::int64_t teams = std::min(shape.groups, multiprocessors * resident / size);
    plan.grid = grid_for(teams * size);
    const std::int64_t rounds = divide_up(shape.groups, teams);
    if (rounds > kMaxGrid) {
        return std::nullopt;  // a round's tag has 32 bits
    }
    plan.rounds = static_cast<std::uint32_t>(rounds);
    return plan;
}

/// Slices of groups, four a multiprocessor: two resident blocks each, twice over, so that a slow
/// block evens out.
struct Slices {
    std::int64_t count;  // a group
    std::int64_t size;   // elements
};
Slices split_groups(std::int64_t groups, std::int64_t group_size, const PlanFacts& facts) {
    const std::int64_t wanted = std::clamp<std::int64_t>(
        divide_up(4 * multiprocessors_of(facts), groups), 1, divide_up(group_size, kMinSlice));
    const std::int64_t size =
        divide_up(divide_up(group_size, wanted), kSliceAlignment) * kSliceAlignment;
    return {divide_up(group_size, size), size};
}

/// Whether groups, one a block, are enough for the chip, or too small to be split.
bool are_blocks_enough(std::int64_t groups, std::int64_t group_size, const PlanFacts& facts) {
    return groups >= 2 * multiprocessors_of(facts) || group_size < 2 * kMinSlice;
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

namespace {

constexpr std::int64_t kOctet = 8;
constexpr std::int64_t kBatchThreads = 512;  // most of kernels `groups` and `cluster`

/// One cluster a group that no block reads from L1 a second time; nothing where a cluster cannot
/// have all of it on chip.
std::optional<QuantizePlan> plan_quantize_cluster(const QuantizeShape& shape,
                                                  const PlanFacts& facts) {
    if (!facts.cluster_launch || !shape.aligned || shape.octet_bytes == 0 ||
        most_threads(facts) < kBatchThreads ||
        divide_up(shape.group_size, kOctet) <= kMaxBlockChunks ||
        shape.groups > kMaxGrid / kMaxCluster) {
        return std::nullopt;
    }
    // One batch a thread in registers, others in shared memory, with room for two blocks at least,
    // of which one loads while the other stores.
    const std::int64_t batch_bytes = kBatchThreads * shape.batch * shape.octet_bytes;
    const std::int64_t most = 1 + shared_for(2, facts) / batch_bytes;
    const std::int64_t of_a_batch = kBatchThreads * shape.batch * kOctet;
    const std::int64_t size = power_of_two_up(divide_up(shape.group_size, most * of_a_batch));
    if (size > kMaxCluster) {
        return std::nullopt;
    }
    QuantizePlan plan;
    plan.kernel = QuantizeKernel::cluster;
    plan.block = static_cast<std::uint32_t>(kBatchThreads);
    plan.lanes = plan.block;
    plan.slices = size;
    plan.slice_size =
        divide_up(divide_up(shape.group_size, size), kSliceAlignment) * kSliceAlignment;
    plan.grid = grid_for(shape.groups * size);
    plan.shared_bytes =
        static_cast<std::uint32_t>((divide_up(plan.slice_size, of_a_batch) - 1) * batch_bytes);
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
    // Blocks small enough for their shared memory; none at all where even the smallest are not.
    std::int64_t most = std::min(most_threads(facts), kBatchThreads);
    if (shape.shared_bytes_a_thread > 0) {
        most = std::min(most, shared_for(1, facts) / shape.shared_bytes_a_thread / 32 * 32);
    }
    const bool batches = shape.aligned && most >= kGroupsThreads;
    plan.kernel = batches ? QuantizeKernel::groups : QuantizeKernel::any;
    // Several octets a thread share what each thread does for its group.
    const std::int64_t threads = divide_up(octets, batches ? shape.batch : 2);
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
    if (batches) {
        plan.shared_bytes = plan.block * static_cast<std::uint32_t>(shape.shared_bytes_a_thread);
    }
    return plan;
}

DequantizePlan plan_dequantize(std::int64_t groups, std::int64_t group_size,
                               int element_bytes) noexcept {
    constexpr std::int64_t kThreads = 256;
    // Chunks of a thread: enough loads under way, and the group's record is read once for them.
    constexpr std::int64_t kChunks = 4;
    constexpr std::int64_t kNeighbours = 4;  // store half a cache line at once
    const std::int64_t chunk = chunk_of(element_bytes);
    const std::int64_t slice = kThreads * kChunks * chunk;
    DequantizePlan plan;
    if (groups <= 0 || group_size <= 0) {
        return plan;
    }
    plan.block = static_cast<std::uint32_t>(kThreads);
    plan.slice_size = std::min(group_size, slice);
    plan.slices = divide_up(group_size, plan.slice_size);
    const std::int64_t chunks = divide_up(plan.slice_size, chunk);
    const std::int64_t lanes = std::min(
        power_of_two_up(std::max(divide_up(chunks, kChunks), std::min(chunks, kNeighbours))),
        kThreads);
    plan.lanes = static_cast<std::uint32_t>(lanes);
    plan.grid = grid_for(divide_up(groups * plan.slices, kThreads / lanes));
    return plan;
}

}  // namespace opforge::runtime
