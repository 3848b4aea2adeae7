// Calls of the ops with codes whose arguments have been checked: what both backends are given.
#pragma once

#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>

namespace opforge::runtime {

/// The order in which swizzle_quant writes groups. Contract, section 7.
struct Swizzle {
    std::int64_t pipeline_size = 1;
    std::int64_t nodes = 1;
    std::int64_t devices_per_node = 1;
    std::int64_t contiguous = 0;  // groups that stay together: C; 0: no swizzle
};

/// Where quantized_reduction's values come from. Contract, section 8.
struct ReductionInput {
    const std::uint8_t* codes = nullptr;  // null: no reduction
    const float* params = nullptr;
    std::int64_t devices = 0;     // D
    std::int64_t elements = 0;    // of one device: E
    std::int64_t groups = 0;      // of one device: Gi
    std::int64_t group_size = 0;  // ni = E / Gi
};

/// quantize, swizzle_quant, loco_swizzle_quant, quantized_reduction, loco_quantized_reduction.
/// groups * group_size elements; groups >= 1. group_size may be 0: only the records are written.
struct QuantizeTask {
    Dtype dtype = Dtype::float16;  // W, the working dtype; of input and error
    const void* input = nullptr;   // W; null for a reduction
    ReductionInput reduction;
    void* error = nullptr;  // W, in output order; null: no error feedback
    float err_beta = 0;
    std::uint8_t* codes = nullptr;
    float* params = nullptr;
    std::int64_t groups = 0;
    std::int64_t group_size = 0;
    int bits = 8;
    bool asymmetric = false;
    Swizzle swizzle;
    bool stochastic = false;
    RandomState random;
};

/// dequantize.
struct DequantizeTask {
    const std::uint8_t* codes = nullptr;
    const float* params = nullptr;
    void* output = nullptr;
    Dtype dtype = Dtype::float16;  // of the output
    std::int64_t groups = 0;
    std::int64_t group_size = 0;
    int bits = 8;
    bool asymmetric = false;
};

/// dequantize_int4_to_half_experimental, dequantize_int8_to_half_experimental.
struct ExperimentalDequantizeTask {
    const std::uint8_t* codes = nullptr;  // unsigned codes
    const std::uint16_t* scale = nullptr;
    const std::uint16_t* min = nullptr;
    std::uint16_t* output = nullptr;
    std::int64_t groups = 0;
    std::int64_t group_size = 0;
    int bits = 8;
};

}  // namespace opforge::runtime
