// Fake quantization: quantizes and at once dequantizes each group of a tensor, in place or into
// another tensor. Defines: program.cuh and
//   OPFORGE_STOCHASTIC  0: nearest, 1: stochastic rounding
//   OPFORGE_KERNELS     0 to 7: which of the kernels below
// Kernels, each with one FakeQuantizeArguments by value:
//   0: <program>_groups   `lanes` lanes a group, many groups a block; aligned tensors only. Nearest
//                         rounding: at most one chunk a lane, else four
//   1: <program>_block    one block a group; aligned tensors only
//   2: <program>_any      either, of tensors of any alignment and group size
//   3: <program>_range    ranges of slices of groups, then
//      <program>_apply    the slices: for groups too large for one block; any tensors
//   4: <program>_cluster  clusters that go through the groups, a slice a block; aligned tensors,
//                         from sm_90 on
//   5: <program>_grid     teams of blocks that do; aligned tensors; cooperative, but for teams of
//                         one block
//   6: <program>_pairs    as groups, at most two chunks a lane; nearest rounding
//   7: <program>_few      a cluster a group, a slice a block: for groups too few for the chip;
//                         aligned tensors, from sm_90 on
// With stochastic rounding, those for aligned tensors only are for scheduled launches only, too
// (random_arguments.cuh).
// A call needs one of them, so they are programs of their own: the first call compiles no more than
// it needs, which for aligned tensors is without the code for others. 64-bit counts. Formulas:
// contract, sections 1.1 and 3.
#include "opforge/kernels/fake_quantize_codec.cuh"
#include "opforge/kernels/no_draws.cuh"
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/range.cuh"
#include "opforge/kernels/types.cuh"
// A header costs the compile of most first calls a hundredth, so that a program reads its own.
#if OPFORGE_KERNELS == 4
#include "opforge/kernels/cluster_team.cuh"
#include "opforge/kernels/ring_share.cuh"
#elif OPFORGE_KERNELS == 7
#include "opforge/kernels/cluster_team.cuh"
#if OPFORGE_STOCHASTIC
#include "opforge/kernels/row_share.cuh"
#else
#include "opforge/kernels/thread_share.cuh"
#endif
#elif OPFORGE_KERNELS == 5
#include "opforge/kernels/grid_team.cuh"
#include "opforge/kernels/held_share.cuh"
#include "opforge/kernels/ring_share.cuh"
#elif OPFORGE_KERNELS == 2 || OPFORGE_KERNELS == 3 || !OPFORGE_STOCHASTIC && OPFORGE_KERNELS == 1
#include "opforge/kernels/thread_share.cuh"
#elif OPFORGE_STOCHASTIC
#include "opforge/kernels/row_share.cuh"
#endif

namespace opforge {
namespace {

// Most threads that each kernel is launched with, and how many of its blocks a multiprocessor
// should have room for: with random numbers registers are what limits that.
[[maybe_unused]] constexpr u32 kGroupsThreads = 256;
// Draws for 16 bits are bound by instructions: large blocks, few of which wait for each other.
[[maybe_unused]] constexpr bool kLargeClusterBlocks = kStochastic && Element::kPerWord == 2;
[[maybe_unused]] constexpr u32 kClusterThreads = kLargeClusterBlocks ? 1024 : 512;
[[maybe_unused]] constexpr u32 kGridThreads = kStochastic ? 1024 : 512;
[[maybe_unused]] constexpr u32 kBlockThreads = kStochastic ? 512 : 1024;
[[maybe_unused]] constexpr u32 kSplitThreads = 1024;
[[maybe_unused]] constexpr u32 kFewThreads = 512;

}  // namespace

#if (OPFORGE_KERNELS == 0 && !OPFORGE_STOCHASTIC) || OPFORGE_KERNELS == 6

// Launch: block = kGroupsThreads, no dynamic shared memory, grid: every group. A lane has kMost
// chunks at most, so nothing loops and nothing is read twice. A second chunk is a sixth of the
// compile of `groups`, the program that most first calls need.
#if OPFORGE_KERNELS == 6
constexpr u32 kMost = 2;
OPFORGE_KERNEL(pairs, kGroupsThreads)
#else
constexpr u32 kMost = 1;
OPFORGE_KERNEL(groups, kGroupsThreads)
#endif
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    const kernels::GroupLaunch& launch = arguments.launch;
    const i64 thread = static_cast<i64>(blockIdx.x) * kGroupsThreads + threadIdx.x;
    const i64 group = thread >> (31 - __clz(static_cast<int>(launch.lanes)));
    const u32 place = kCount * (threadIdx.x & (launch.lanes - 1));
    const u32 end = group < launch.groups ? static_cast<u32>(launch.group_size) : 0;
    const u32 step = kCount * launch.lanes;
    const i64 index = group * launch.group_size + place;
    Range::Collector collector;
    Elements chunk[kMost] = {};
#pragma unroll
    for (u32 k = 0; k < kMost; ++k) {
        if (place + k * step < end) {
            chunk[k] = load_chunk<Element>(
                static_cast<const Raw*>(arguments.input) + index + k * step, 0, kCount, true);
        }
    }
#pragma unroll
    for (u32 k = 0; k < kMost; ++k) {
        if (place + k * step < end) {
            include_words(collector, chunk[k]);
        }
    }
    const GroupCodec codec(reduce_lanes(collector.range(), launch.lanes), arguments);
#pragma unroll
    for (u32 k = 0; k < kMost; ++k) {
        if (place + k * step < end) {
            store_chunk<Element>(static_cast<Raw*>(arguments.output) + index + k * step,
                                 apply_chunk(chunk[k], codec, NoDraws{}, arguments), kCount, true);
        }
    }
}

#elif OPFORGE_KERNELS == 0

// Launch: block = kGroupsThreads; dynamic shared memory for what each thread keeps there. Grid:
// every group.
OPFORGE_RESIDENT_KERNEL(groups, kGroupsThreads, 6)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    extern __shared__ __align__(128) uint4 chunks[];
    const u32 lanes = arguments.launch.lanes;
    const i64 thread = static_cast<i64>(blockIdx.x) * kGroupsThreads + threadIdx.x;
    GroupSlice slice =
        whole_group(thread >> (31 - __clz(static_cast<int>(lanes))), arguments.launch);
    slice.end = slice.group < arguments.launch.groups ? slice.end : 0;
    const RowShare share(arguments, slice, threadIdx.x & (lanes - 1), lanes, chunks);
    const Range range = reduce_lanes(share.measure(arguments), lanes);
    share.apply(arguments, GroupCodec(range, arguments));
}

#elif OPFORGE_KERNELS == 1

// Launch: block = a multiple of 32 up to kBlockThreads; dynamic shared memory for what each thread
// keeps there, or none. Grid: every group.
OPFORGE_RESIDENT_KERNEL(block, kBlockThreads, kStochastic ? 3 : 1)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    extern __shared__ __align__(128) uint4 chunks[];
    __shared__ Range scratch[32];
    const GroupSlice slice = whole_group(blockIdx.x, arguments.launch);
#if OPFORGE_STOCHASTIC
    const RowShare share(arguments, slice, threadIdx.x, blockDim.x, chunks);
    const Range range = reduce_block<false>(share.measure(arguments), scratch);
    share.apply(arguments, GroupCodec(range, arguments));
#else
    ThreadShare<true> share(arguments, slice, threadIdx.x, blockDim.x, chunks);
    const Range range = reduce_block<false>(share.measure(), scratch);
    share.apply<true>(arguments, GroupCodec(range, arguments), Random<false>(arguments.random));
#endif
}

#elif OPFORGE_KERNELS == 2

/// `lanes` threads a group, a few groups a block.
OPFORGE_DEVICE GroupSlice group_of_team(const kernels::GroupLaunch& launch, u32 team) {
    const i64 first = static_cast<i64>(blockIdx.x) * teams_of_block(launch.lanes);
    GroupSlice slice = whole_group(first + team, launch);
    slice.end = slice.group < launch.groups ? slice.end : 0;
    return slice;
}

// Launch: as `groups` where `lanes` is at most 32, else as `block`, and `lanes` is the block.
OPFORGE_KERNEL(any, kSplitThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const u32 lanes = arguments.launch.lanes;
    const u32 team = team_of_thread(lanes);
    ThreadShare<false> share(arguments, group_of_team(arguments.launch, team),
                             threadIdx.x - team * lanes, lanes);
    const Range own = share.measure();
    const Range range = lanes > 32 ? reduce_block(own, scratch) : reduce_lanes(own, lanes);
    share.apply<true>(arguments, GroupCodec(range, arguments),
                      Random<kStochastic>(arguments.random));
}

#elif OPFORGE_KERNELS == 3

// Launch: block = a multiple of 32 up to kSplitThreads; grid strides over groups * slices.
OPFORGE_KERNEL(range, kSplitThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const i64 tiles = arguments.launch.groups * arguments.launch.slices;
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const GroupSlice slice = slice_of(tile, arguments.launch);
        ThreadShare<false> share(arguments, slice, threadIdx.x, blockDim.x);
        const Range range = reduce_block(share.measure(), scratch);
        if (threadIdx.x == 0) {
            static_cast<Range*>(arguments.ranges)[tile] = range;
        }
    }
}

// Launch: as `range`, after it on the same stream. Goes through the tiles backwards: the last ones
// read are those that L2 still holds.
OPFORGE_KERNEL(apply, kSplitThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const Random<kStochastic> random(arguments.random);
    const i64 slices = arguments.launch.slices;
    const i64 tiles = arguments.launch.groups * slices;
    for (i64 step = blockIdx.x; step < tiles; step += gridDim.x) {
        const GroupSlice slice = slice_of(tiles - 1 - step, arguments.launch);
        const Range* ranges = static_cast<const Range*>(arguments.ranges) + slice.group * slices;
        Range range = Range::empty();
#pragma unroll 1
        for (i64 i = threadIdx.x; i < slices; i += blockDim.x) {
            range.include(ranges[i]);
        }
        range = reduce_block(range, scratch);
        ThreadShare<false>(arguments, slice, threadIdx.x, blockDim.x)
            .apply<false>(arguments, GroupCodec(range, arguments), random);
    }
}

#elif OPFORGE_KERNELS == 4

// Launch: clusters of `slices` blocks, a power of two up to 8; block = a multiple of 32 up to
// kClusterThreads; dynamic shared memory for a slice. Grid: strides over groups, with as many
// clusters as are resident at once, or more.
OPFORGE_RESIDENT_KERNEL(cluster, kClusterThreads, kLargeClusterBlocks ? 1 : 3)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
#if __CUDA_ARCH__ >= 900
    extern __shared__ __align__(128) uint4 chunks[];
    __shared__ ClusterTeam<Range>::Board board;
    const ClusterTeam<Range> team(board, static_cast<u32>(arguments.launch.slices));
    apply_to_groups<true>(arguments, team, team.number(), team.teams(), chunks);
#endif
}

#elif OPFORGE_KERNELS == 7

// Launch: clusters of `slices` blocks, a power of two up to 8; block = a multiple of 32 up to
// kFewThreads; dynamic shared memory for what each thread keeps there. Grid: every group.
OPFORGE_KERNEL(few, kFewThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
#if __CUDA_ARCH__ >= 900
    extern __shared__ __align__(128) uint4 chunks[];
    __shared__ ClusterTeam<Range>::Board board;
    const ClusterTeam<Range> team(board, static_cast<u32>(arguments.launch.slices));
    const GroupSlice slice = slice_of_group(team.number(), team.rank(), arguments.launch);
#if OPFORGE_STOCHASTIC
    const RowShare share(arguments, slice, threadIdx.x, blockDim.x, chunks);
    const Range range = team.range_of_all(share.measure(arguments), 0);
    share.apply(arguments, GroupCodec(range, arguments));
#else
    ThreadShare<true> share(arguments, slice, threadIdx.x, blockDim.x, chunks);
    const Range range = team.range_of_all(share.measure(), 0);
    share.apply<true>(arguments, GroupCodec(range, arguments), Random<false>(arguments.random));
#endif
#endif
}

#else

// Launch: cooperative, or teams of one block; block = a multiple of 32 up to kGridThreads; dynamic
// shared memory for what each thread keeps there. Grid: teams of `slices` blocks, which stride over
// groups.
OPFORGE_RESIDENT_KERNEL(grid, kGridThreads, kStochastic ? 1 : 2)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    extern __shared__ __align__(128) uint4 chunks[];
    __shared__ GridTeam<Range>::Scratch scratch;
    const u32 size = static_cast<u32>(arguments.launch.slices);
    const u32 number = blockIdx.x / size;
    const u32 teams = gridDim.x / size;
    const GridTeam<Range> team(scratch, arguments.board + number * (2 * size * Range::kWords), size,
                               blockIdx.x - number * size, arguments.tag);
#if OPFORGE_STOCHASTIC
    apply_to_groups<false>(arguments, team, number, teams, chunks);
#else
    u32 round = 0;
#pragma unroll 1
    for (i64 group = number; group < arguments.launch.groups; group += teams, ++round) {
        HeldShare share(arguments, slice_of_group(group, team.rank(), arguments.launch), chunks);
        const Range range = team.range_of_all(share.measure(), round);
        share.apply(arguments, GroupCodec(range, arguments));
    }
#endif
}

#endif

}  // namespace opforge
