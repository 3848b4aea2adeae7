// The one argument of every kernel that turns groups into codes, and of those that turn codes into
// values, as the host fills them in. Included by both sides. Plain C++, no CUDA.
#pragma once

#include "opforge/kernels/divisor.cuh"
#include "opforge/kernels/group_launch.cuh"
#include "opforge/kernels/random_arguments.cuh"

namespace opforge::kernels {

/// Where quantized_reduction's values come from: `devices` tensors of codes one after the other.
struct ReductionArguments {
    const unsigned char* codes;
    const float* params;
    long long elements;    // of one device
    long long groups;      // of one device
    long long group_size;  // elements / groups
    long long devices;
    Divisor by_runs;  // of kRun octets (sum_source.cuh), a group: which group a run belongs to
};

/// The order in which swizzle_quant writes groups (contract, section 7).
struct SwizzleArguments {
    long long pipeline_size;
    long long nodes;
    long long devices_per_node;
    long long contiguous;  // groups that stay together; 0: written in the order of reading
    Divisor by_pipeline_size;
    Divisor by_devices_per_node;
    Divisor by_contiguous;
};

struct QuantizeArguments {
    GroupLaunch launch;
    const void* input;  // working dtype; not of a reduction
    void* error;        // working dtype, in the order of the codes; LoCo only
    unsigned char* codes;
    float* params;  // records {step} or {step, offset}
    void* ranges;   // kernels `range`, `apply`: groups * slices ranges of at most 8 bytes
    ReductionArguments reduction;
    SwizzleArguments swizzle;
    unsigned bits;
    float err_beta;
    float err_keep;  // 1 - err_beta
    RandomArguments random;
};

struct DequantizeArguments {
    GroupLaunch launch;
    Divisor by_slices;
    Divisor by_chunks;  // chunks of a group
    const unsigned char* codes;
    const float* params;  // records {step} or {step, offset}
    void* output;
    unsigned bits;
    unsigned chunks;  // of the launch, below 2^31, of aligned tensors; 0: it goes by slices
};

struct ExperimentalDequantizeArguments {
    GroupLaunch launch;
    Divisor by_slices;
    const unsigned char* codes;
    const unsigned short* scale;  // float16 bits, one a group
    const unsigned short* min;
    unsigned short* output;
    unsigned bits;
};

}  // namespace opforge::kernels
