// Which elements of which group a thread works on.
#pragma once

#include "opforge/kernels/group_launch.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// i / by, for by > 0; a 32-bit division where both fit, which they nearly always do.
OPFORGE_DEVICE i64 divide(i64 i, i64 by) {
    if (static_cast<u64>(i | by) <= 0xffffffffu) {
        return static_cast<u32>(i) / static_cast<u32>(by);
    }
    return i / by;
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

/// Slice `tile` of the tensor: the slices of one group follow each other.
OPFORGE_DEVICE GroupSlice slice_of(i64 tile, const kernels::GroupLaunch& launch) {
    const i64 group = divide(tile, launch.slices);
    const i64 begin = (tile - group * launch.slices) * launch.slice_size;
    const i64 end = begin + launch.slice_size;
    return {group, begin, end < launch.group_size ? end : launch.group_size};
}

/// How many of `most` elements from `place` on are before `end`.
OPFORGE_DEVICE u32 count_from(i64 place, i64 end, u32 most) {
    return end - place < most ? static_cast<u32>(end - place) : most;
}

}  // namespace opforge
