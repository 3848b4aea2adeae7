// Fake quantization: quantizes and at once dequantizes each group of a tensor, in place or into
// another tensor. Defines: program.cuh and
//   OPFORGE_STOCHASTIC  0: nearest, 1: stochastic rounding
//   OPFORGE_KERNELS     0 to 5: which of the kernels below
// Kernels, each with one FakeQuantizeArguments by value:
//   0: <program>_groups   `lanes` lanes a group, many groups a block; aligned tensors only. Nearest
//                         rounding: at most one chunk a lane
//   1: <program>_block    one block a group; aligned tensors only
//   2: <program>_any      either, of tensors of any alignment and group size
//   3: <program>_range    ranges of slices of groups, then
//      <program>_apply    the slices: for groups too large for one block; any tensors
//   4: <program>_cluster  one cluster a group, a slice a block; aligned tensors, from sm_90 on
//   5: <program>_grid     a team of blocks a group, a slice a block; aligned tensors, cooperative
// A call needs one of them, so they are programs of their own: the first call compiles no more than
// it needs, which for aligned tensors is without the code for others. 64-bit counts. Formulas:
// contract, sections 1.1 and 3.
#include "opforge/kernels/fake_quantize_codec.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/held_share.cuh"
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/range.cuh"
#include "opforge/kernels/team.cuh"
#include "opforge/kernels/thread_share.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {
namespace {

// Most threads that each kernel is launched with, and how many of its blocks a multiprocessor
// should have room for: with random numbers registers are what limits that.
[[maybe_unused]] constexpr u32 kGroupsThreads = 256;
[[maybe_unused]] constexpr u32 kTeamThreads = 512;
[[maybe_unused]] constexpr u32 kTeams = kStochastic ? 3 : 2;
[[maybe_unused]] constexpr u32 kBlockThreads = kStochastic ? 512 : 1024;
[[maybe_unused]] constexpr u32 kSplitThreads = 1024;

/// `lanes` threads a group, many groups a block. `reduce` gives every lane its group's range.
template <bool kAligned, class Reduce>
OPFORGE_DEVICE void many_groups(const FakeQuantizeArguments& arguments, uint4* shared,
                                Reduce reduce) {
    const kernels::GroupLaunch& launch = arguments.launch;
    const u32 lanes = launch.lanes;
    const u32 sub = team_of_thread(lanes);
    const u32 lane = threadIdx.x - sub * lanes;
    const u32 groups_a_block = teams_of_block(lanes);
    const Random random(arguments);
    // The bound is the block's, not the thread's: every lane must reach the reduction.
    const i64 stride = static_cast<i64>(gridDim.x) * groups_a_block;
    for (i64 base = static_cast<i64>(blockIdx.x) * groups_a_block; base < launch.groups;
         base += stride) {
        GroupSlice slice = whole_group(base + sub, launch);
        slice.end = slice.group < launch.groups ? slice.end : 0;
        ThreadShare<kAligned> share(arguments, slice, lane, lanes, shared);
        const Range range = reduce(share.measure());
        share.template apply<true>(arguments, GroupCodec(range, arguments), random);
    }
}

/// A team's way through its groups, the slice of `rank` of each. `first`: the team's number;
/// `teams`: how many there are.
template <class Team>
OPFORGE_DEVICE void team_groups(const FakeQuantizeArguments& arguments, const Team& team, u32 rank,
                                i64 first, i64 teams, uint4* shared, Range* scratch) {
    const kernels::GroupLaunch& launch = arguments.launch;
    [[maybe_unused]] const Random random(arguments);
    u32 round = 0;
#pragma unroll 1
    for (i64 group = first; group < launch.groups; group += teams, ++round) {
        const GroupSlice slice = slice_of_group(group, rank, launch);
        if constexpr (kStochastic) {
            ThreadShare<true> share(arguments, slice, threadIdx.x, blockDim.x, shared);
            const Range own = reduce_block(share.measure(), scratch);
            const GroupCodec codec(team.range_of_all(own, round), arguments);
            share.template apply<true>(arguments, codec, random);
        } else {
            HeldShare share(arguments, slice, shared);
            const Range own = reduce_block(share.measure(), scratch);
            share.apply(arguments, GroupCodec(team.range_of_all(own, round), arguments));
        }
    }
}

}  // namespace

#if OPFORGE_KERNELS == 0 && !OPFORGE_STOCHASTIC

// Launch: block = kGroupsThreads, no dynamic shared memory, grid: every group. A lane has one chunk
// or none, so nothing loops and nothing is read twice: the program that most first calls need
// compiles a fifth faster for it.
OPFORGE_KERNEL(groups, kGroupsThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    const kernels::GroupLaunch& launch = arguments.launch;
    const i64 thread = static_cast<i64>(blockIdx.x) * kGroupsThreads + threadIdx.x;
    const i64 group = thread >> (31 - __clz(static_cast<int>(launch.lanes)));
    const u32 place = kCount * (threadIdx.x & (launch.lanes - 1));
    const bool has_chunk = group < launch.groups && place < static_cast<u32>(launch.group_size);
    const i64 index = group * launch.group_size + place;
    Range::Collector collector;
    Elements chunk{};
    if (has_chunk) {
        chunk =
            load_chunk<Element>(static_cast<const Raw*>(arguments.input) + index, 0, kCount, true);
#pragma unroll
        for (int i = 0; i < Elements::kWords; ++i) {
            collector.include_word(chunk.word[i]);
        }
    }
    const GroupCodec codec(reduce_lanes(collector.range(), launch.lanes), arguments);
    if (has_chunk) {
        store_chunk<Element>(static_cast<Raw*>(arguments.output) + index,
                             apply_chunk(chunk, codec, NoDraws{}, arguments), kCount, true);
    }
}

#elif OPFORGE_KERNELS == 0

// Launch: block = kGroupsThreads; dynamic shared memory for what each thread keeps there.
OPFORGE_RESIDENT_KERNEL(groups, kGroupsThreads, 6)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    extern __shared__ uint4 chunks[];
    many_groups<true>(arguments, chunks,
                      [&](const Range& own) { return reduce_lanes(own, arguments.launch.lanes); });
}

#elif OPFORGE_KERNELS == 1

// Launch: block = a multiple of 32 up to kBlockThreads; dynamic shared memory for what each thread
// keeps there, or none.
OPFORGE_RESIDENT_KERNEL(block, kBlockThreads, kStochastic ? 3 : 1)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    extern __shared__ uint4 chunks[];
    __shared__ Range scratch[32];
    const Random random(arguments);
    for (i64 group = blockIdx.x; group < arguments.launch.groups; group += gridDim.x) {
        ThreadShare<true> share(arguments, whole_group(group, arguments.launch), threadIdx.x,
                                blockDim.x, chunks);
        const Range range = reduce_block(share.measure(), scratch);
        share.apply<true>(arguments, GroupCodec(range, arguments), random);
    }
}

#elif OPFORGE_KERNELS == 2

// Launch: as `groups` where `lanes` is at most 32, else as `block`, and `lanes` is the block.
OPFORGE_KERNEL(any, kSplitThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    many_groups<false>(arguments, nullptr, [&](const Range& own) {
        return arguments.launch.lanes > 32 ? reduce_block(own, scratch)
                                           : reduce_lanes(own, arguments.launch.lanes);
    });
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
    const Random random(arguments);
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
// kTeamThreads; dynamic shared memory for what each thread keeps there. Grid: a cluster for every
// group, or fewer.
OPFORGE_RESIDENT_KERNEL(cluster, kTeamThreads, kTeams)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
#if __CUDA_ARCH__ >= 900
    extern __shared__ uint4 chunks[];
    __shared__ Range scratch[32];
    __shared__ Range slots[2];
    const u32 size = static_cast<u32>(arguments.launch.slices);
    const ClusterTeam<Range> team{slots, size};
    team_groups(arguments, team, team.rank(), blockIdx.x / size, gridDim.x / size, chunks, scratch);
    team.leave();
#endif
}

#else

// Launch: cooperative; block = a multiple of 32 up to kTeamThreads; dynamic shared memory for what
// each thread keeps there. Grid: teams of `slices` blocks, as many as are resident at once or
// fewer.
OPFORGE_RESIDENT_KERNEL(grid, kTeamThreads, kTeams)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    extern __shared__ uint4 chunks[];
    __shared__ Range scratch[32];
    __shared__ Range shared;
    const u32 size = static_cast<u32>(arguments.launch.slices);
    const u32 number = blockIdx.x / size;
    const u32 rank = blockIdx.x - number * size;
    const GridTeam<Range> team{arguments.board + number * (2 * size * Range::kWords), size, rank,
                               arguments.tag, &shared};
    team.begin();
    team_groups(arguments, team, rank, number, gridDim.x / size, chunks, scratch);
}

#endif

}  // namespace opforge
