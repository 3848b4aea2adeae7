// Where a kernel's random numbers come from: a part of the argument of every kernel that may draw.
// Included by both sides. Plain C++, no CUDA.
#pragma once

namespace opforge::kernels {

struct RandomArguments {
    unsigned long long seed;
    unsigned long long offset;
    unsigned round_keys[20];  // Philox's of `seed`, two a round
    // {seed, offset} in device memory instead of the three above; or null
    const unsigned long long* device_random;
};

}  // namespace opforge::kernels
