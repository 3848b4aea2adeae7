// How groups are shared out among threads: a part of every kernel's argument. Included by both
// sides. Plain C++, no CUDA.
#pragma once

namespace opforge::kernels {

struct GroupLaunch {
    long long groups;
    long long group_size;  // elements
    unsigned lanes;        // threads a group, or a slice: up to 32 a power of two, else the block
    unsigned aligned;      // whether every chunk of every tensor moves as a whole vector
    long long slice_size;  // elements, a multiple of 8
    long long slices;      // a group; 1 where a group is done at once
    unsigned keeps;        // chunks of each thread that dynamic shared memory holds
};

}  // namespace opforge::kernels
