// DeepSpeed's quantizer kernels behind C functions, for opforge-bench-kernels: what its own binding
// does between a tensor and a launch, without PyTorch. Built by build_deepspeed.sh together with
// DeepSpeed's sources, which are not part of this repository.
//   results: cudaError_t; kDoesNothing where DeepSpeed's binding returns without a launch, silently
#include "quantization.h"

#include <cuda_runtime.h>

#include <cstdint>

namespace {

constexpr int kDoesNothing = -1;

quantize::Type type_of(int asymmetric) {
    return asymmetric != 0 ? quantize::Type::Asymmetric : quantize::Type::Symmetric;
}

template <typename T>
void fake_quantize(T* values, int count, int groups, int bits, int stochastic, int asymmetric,
                   cudaStream_t stream) {
    if (stochastic != 0) {
        (asymmetric != 0 ? launch_sr_fake_quantize_kernel_asym<T>
                         : launch_sr_fake_quantize_kernel<T>)(values, count, groups, bits, stream);
    } else {
        (asymmetric != 0 ? launch_fake_quantize_kernel_asym<T>
                         : launch_fake_quantize_kernel<T>)(values, count, groups, bits, stream);
    }
}

}  // namespace

extern "C" {

/// ds_quantize and its like, in place. dtype: 2 fp16, 4 fp32.
int opforge_peer_fake_quantize(void* values, int dtype, int count, int groups, int bits,
                               int stochastic, int asymmetric, cudaStream_t stream) {
    const int size = count / groups;
    const bool launches = stochastic != 0 ? size / 4 / 1024 <= 256 : (size - 1) / 4096 + 1 <= 256;
    if (!launches) {
        return kDoesNothing;
    }
    if (dtype == 2) {
        fake_quantize(static_cast<__half*>(values), count, groups, bits, stochastic, asymmetric,
                      stream);
    } else {
        fake_quantize(static_cast<float*>(values), count, groups, bits, stochastic, asymmetric,
                      stream);
    }
    return cudaGetLastError();
}

int opforge_peer_quantize(void* codes, void* params, const void* values, int count, int groups,
                          int bits, int asymmetric, cudaStream_t stream) {
    launch_quant(static_cast<int8_t*>(codes), static_cast<float*>(params),
                 static_cast<const __half*>(values), groups, count / groups, bits,
                 type_of(asymmetric), stream);
    return cudaGetLastError();
}

int opforge_peer_dequantize(void* values, int dtype, const void* codes, const void* params,
                            int count, int groups, int bits, int asymmetric, cudaStream_t stream) {
    const auto* from = static_cast<const int8_t*>(codes);
    const auto* scales = static_cast<const float*>(params);
    if (dtype == 2) {
        launch_dequantize_kernel(static_cast<__half*>(values), from, scales, type_of(asymmetric),
                                 bits, count / groups, count, stream);
    } else {
        launch_dequantize_kernel(static_cast<float*>(values), from, scales, type_of(asymmetric),
                                 bits, count / groups, count, stream);
    }
    return cudaGetLastError();
}

/// error: fp16 values of LoCo, null without.
int opforge_peer_swizzle_quant(void* codes, void* params, const void* values, void* error,
                               int count, int groups, int bits, int asymmetric, int nodes,
                               int devices_per_node, cudaStream_t stream) {
    auto* to = static_cast<int8_t*>(codes);
    auto* scales = static_cast<float*>(params);
    const auto* from = static_cast<const __half*>(values);
    if (error != nullptr) {
        launch_loco_swizzled_quant(to, scales, from, static_cast<__half*>(error), 0.8F, bits,
                                   type_of(asymmetric), groups, count / groups, 1, nodes,
                                   devices_per_node, stream);
    } else {
        launch_swizzled_quant(to, scales, from, bits, type_of(asymmetric), groups, count / groups,
                              1, nodes, devices_per_node, stream);
    }
    return cudaGetLastError();
}

/// bytes: of the codes of all devices together, which DeepSpeed counts instead of values.
int opforge_peer_quantized_reduction(void* codes, void* params, const void* from,
                                     const void* from_params, void* error, int bytes, int devices,
                                     int in_groups, int out_groups, int bits, int asymmetric,
                                     cudaStream_t stream) {
    const int each = bytes / devices;
    const int groups = in_groups / devices;
    auto* to = static_cast<int8_t*>(codes);
    auto* scales = static_cast<float*>(params);
    const auto* input = static_cast<const int8_t*>(from);
    const auto* input_scales = static_cast<const float*>(from_params);
    if (error != nullptr) {
        launch_loco_dequant_reduce(to, scales, input, input_scales, devices, bits,
                                   type_of(asymmetric), out_groups, each / out_groups, each, groups,
                                   each / groups, static_cast<__half2*>(error), 0.8F, stream);
    } else {
        launch_dequant_reduce(to, scales, input, input_scales, devices, bits, type_of(asymmetric),
                              out_groups, each / out_groups, each, groups, each / groups, stream);
    }
    return cudaGetLastError();
}

}  // extern "C"
