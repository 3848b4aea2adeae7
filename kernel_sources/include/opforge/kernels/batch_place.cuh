// Which octets of an aligned group a thread has under way at once.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

/// Runs of neighbouring octets, counted from the first octet that the thread has of its group. All
/// but `left` is the same for every thread of a launch.
struct BatchPlace {
    u32 first;  // of the first run
    u32 step;   // from run to run
    u32 left;   // octets from the thread's first one to the end of the group; 0: it has none
    u32 all;    // octets of the group

    OPFORGE_DEVICE u32 at(u32 run) const { return first + run * step; }
    /// Whether the run is there: groups are whole runs.
    OPFORGE_DEVICE bool has(u32 run) const { return at(run) < left; }
    /// Whether any thread has the run.
    OPFORGE_DEVICE bool any_has(u32 run) const { return at(run) < all; }
};

}  // namespace opforge
