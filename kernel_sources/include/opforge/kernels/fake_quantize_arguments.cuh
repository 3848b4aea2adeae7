// The one argument of every fake-quantization kernel, as the host fills it in. Included by both
// sides: the layout is written down once. Plain C++, no CUDA.
#pragma once

namespace opforge::kernels {

struct FakeQuantizeArguments {
    const void* input;
    void* output;  // may be `input`
    long long groups;
    long long group_size;  // elements
    float levels;          // 2^bits
    float code_min;        // symmetric: -2^(bits-1); asymmetric: 0
    float code_max;        // symmetric: 2^(bits-1) - 1; asymmetric: 2^bits - 1
    unsigned lanes;        // kernel `groups`: lanes a group, a power of two up to 32
    unsigned long long seed;
    unsigned long long offset;
    const unsigned long long*
        device_random;     // {seed, offset} in device memory instead of the two above; or null
    void* ranges;          // kernels `range`, `apply`: groups * slices ranges of at most 8 bytes
    long long slice_size;  // elements, a multiple of a vector's
    unsigned slices;       // a group
};

}  // namespace opforge::kernels
