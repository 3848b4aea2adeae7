// The quantized steps of ZeRO++'s and LoCo's hierarchical gradient reduction: DeepSpeed's names,
// argument order and layouts. Threads, streams and first calls as in quantize.hpp, whose codes and
// records these use. Source: contract sections 1.1, 7 and 8.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/runtime/op_options.hpp>
#include <opforge/runtime/quantization_type.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>

namespace opforge::runtime {

// All: num_bits is 4 or 8; @throws as the functions of quantize.hpp.

/// Quantizes and reorders groups so that one all-to-all in the node and one across nodes bring
/// every rank its share: partition p of nodes * devices_per_node moves next to the partitions of
/// the same device on the other nodes, pipeline slices become the slowest index.
/// @param input  float16, bfloat16 or float32, any shape
/// @param groups must divide the element count, and be a multiple of
///               nodes * devices_per_node * pipeline_size
/// @return codes 1-D; params in the order of the codes
OPFORGE_API QuantizedTensor swizzle_quant(const TensorView& input, std::int64_t groups,
                                          int num_bits, QuantizationType type,
                                          std::int64_t pipeline_size, std::int64_t nodes,
                                          std::int64_t devices_per_node,
                                          const OpOptions& options = {});

/// The same of input + error, and the error updated to
/// (1 - err_beta) * what quantization dropped + err_beta * error.
/// @param error_feedback the input's dtype and element count, in the order of the codes; changed in
///                       place; a poisoned group's is NaN
OPFORGE_API QuantizedTensor loco_swizzle_quant(const TensorView& input,
                                               const TensorView& error_feedback, float err_beta,
                                               std::int64_t groups, int num_bits,
                                               QuantizationType type, std::int64_t pipeline_size,
                                               std::int64_t nodes, std::int64_t devices_per_node,
                                               const OpOptions& options = {});

/// Decodes the tensors of several devices, sums them in device order and quantizes the sum.
/// @param codes      int8 or uint8: devices_per_node tensors one after the other; the last
///                   dimension must be a multiple of devices_per_node
/// @param scales     float32, in_groups records, device after device
/// @param in_groups  of all devices together
/// @param out_groups of the sum
/// @param dtype      every decoded value and partial sum is rounded to it: float16 (as DeepSpeed),
///                   bfloat16 or float32
/// @return codes of the input's shape with the last dimension divided by the devices
OPFORGE_API QuantizedTensor quantized_reduction(const TensorView& codes, const TensorView& scales,
                                                std::int64_t in_groups, std::int64_t out_groups,
                                                int num_bits, QuantizationType type,
                                                std::int64_t devices_per_node,
                                                const OpOptions& options = {},
                                                Dtype dtype = Dtype::float16);

/// The same of sum + error, with the error updated as by loco_swizzle_quant.
/// @param error_feedback float16, bfloat16 or float32, which is also the dtype of the sums; one
///                       value for each element of the sum; changed in place
OPFORGE_API QuantizedTensor loco_quantized_reduction(
    const TensorView& codes, const TensorView& scales, const TensorView& error_feedback,
    float err_beta, std::int64_t in_groups, std::int64_t out_groups, int num_bits,
    QuantizationType type, std::int64_t devices_per_node, const OpOptions& options = {});

}  // namespace opforge::runtime
