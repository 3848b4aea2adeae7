// Where a kernel's random numbers come from: a part of the argument of every kernel that may draw.
// Included by both sides. Plain C++, no CUDA.
#pragma once

namespace opforge::kernels {

struct RandomArguments {
    unsigned long long seed;
    unsigned long long offset;
    // {seed, offset} in device memory instead of all the others; or null
    const unsigned long long* device_random;
    // What Philox's rounds add, two words each, for a launch whose counters have all the same upper
    // word: what that word alone makes of the first two rounds is in those of the second and third.
    unsigned round_keys[20];
    unsigned scheduled;  // whether the launch is such a one, and draws begin with whole counters
};

}  // namespace opforge::kernels
