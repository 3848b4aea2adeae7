// Which elements of which group a thread works on.
#pragma once

#include "opforge/kernels/divisor.cuh"
#include "opforge/kernels/group_launch.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// Not inlined: a 64-bit division is a hundred instructions, and few launches ever need one.
static __device__ __noinline__ i64 divide_wide(i64 i, i64 by) {
    return i / by;
}

/// i / by, for by > 0; a 32-bit division where both fit, which they nearly always do.
OPFORGE_DEVICE i64 divide(i64 i, i64 by) {
    if (static_cast<u64>(i | by) <= 0xffffffffu) {
        return static_cast<u32>(i) / static_cast<u32>(by);
    }
    return divide_wide(i, by);
}

/// n / the number that `by` was made of, for n below 2^31: three instructions where a division
/// takes twenty.
OPFORGE_DEVICE u32 divide_small(u32 n, const kernels::Divisor& by) {
    return __umulhi(2 * n, by.multiplier) >> by.shift;
}

/// i / by, for `divisor` made of `by`; i below 2^31 where it has 32 bits.
OPFORGE_DEVICE u32 divide(u32 i, u32, const kernels::Divisor& divisor) {
    return divide_small(i, divisor);
}
OPFORGE_DEVICE i64 divide(i64 i, i64 by, const kernels::Divisor& divisor) {
    if (static_cast<u64>(i) < 0x80000000u) {
        return divide_small(static_cast<u32>(i), divisor);
    }
    return divide_wide(i, by);
}

/// Which of a block's teams of `lanes` threads this one is in: `lanes` is a power of two, or the
/// whole block.
OPFORGE_DEVICE u32 team_of_thread(u32 lanes) {
    return lanes == blockDim.x ? 0 : threadIdx.x >> (31 - __clz(static_cast<int>(lanes)));
}

/// How many teams a block has.
OPFORGE_DEVICE u32 teams_of_block(u32 lanes) {
    return lanes == blockDim.x ? 1 : blockDim.x >> (31 - __clz(static_cast<int>(lanes)));
}

/// A run of a group's elements.
struct GroupSlice {
    i64 group;
    i64 begin;  // element within the group
    i64 end;
};

OPFORGE_DEVICE GroupSlice whole_group(i64 group, const kernels::GroupLaunch& launch) {
    return {group, 0, launch.group_size};
}

/// Slice `number` of a group; it may lie behind the group's end, and is empty then.
OPFORGE_DEVICE GroupSlice slice_of_group(i64 group, i64 number,
                                         const kernels::GroupLaunch& launch) {
    const i64 begin = number * launch.slice_size;
    const i64 end = begin + launch.slice_size;
    return {group, begin, end < launch.group_size ? end : launch.group_size};
}

/// Slice `tile` of the tensor: the slices of one group follow each other.
OPFORGE_DEVICE GroupSlice slice_of(i64 tile, const kernels::GroupLaunch& launch) {
    const i64 group = divide(tile, launch.slices);
    return slice_of_group(group, tile - group * launch.slices, launch);
}

OPFORGE_DEVICE GroupSlice slice_of(i64 tile, const kernels::GroupLaunch& launch,
                                   const kernels::Divisor& by_slices) {
    const i64 group = divide(tile, launch.slices, by_slices);
    return slice_of_group(group, tile - group * launch.slices, launch);
}

/// How many of `most` elements from `place` on are before `end`.
OPFORGE_DEVICE u32 count_from(i64 place, i64 end, u32 most) {
    return end - place < most ? static_cast<u32>(end - place) : most;
}

}  // namespace opforge
