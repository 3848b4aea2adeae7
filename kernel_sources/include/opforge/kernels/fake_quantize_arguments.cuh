// The one argument of every fake-quantization kernel, as the host fills it in. Included by both
// sides: the layout is written down once. Plain C++, no CUDA.
#pragma once

#include "opforge/kernels/group_launch.cuh"

namespace opforge::kernels {

struct FakeQuantizeArguments {
    GroupLaunch launch;
    const void* input;
    void* output;  // may be `input`
    float levels;  // 2^bits
    float inverse_levels;
    float code_min;  // symmetric: -2^(bits-1); asymmetric: 0
    float code_max;  // symmetric: 2^(bits-1) - 1; asymmetric: 2^bits - 1
    unsigned long long seed;
    unsigned long long offset;
    unsigned round_keys[20];  // Philox's of `seed`, two a round
    const unsigned long long*
        device_random;  // {seed, offset} in device memory instead of the two above; or null
    void* ranges;       // kernels `range`, `apply`: groups * slices ranges of at most 8 bytes
    unsigned long long* board;  // kernel `grid`: two times the blocks' ranges, a word in 8 bytes
    unsigned tag;               // kernel `grid`: of the first round
};

}  // namespace opforge::kernels
