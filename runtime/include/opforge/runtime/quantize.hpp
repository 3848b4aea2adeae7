// Quantization to packed integer codes, and back: DeepSpeed's names, argument order and layouts.
// Any thread. Device work is queued on the caller's stream and not waited for; host tensors are
// done when a call returns. The first call of a kind on a device may compile (see warm_up.hpp).
// Source: contract sections 1.1, 4, 5 and 6.
//
// Codes are a most-significant-bit-first stream of two's complement numbers in int8 storage: 8
// bits: one a byte; 4 bits: two, the first in bits 7..4; 2 bits: four, the first in bits 7..6. A
// group must fill whole bytes.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/runtime/op_options.hpp>
#include <opforge/runtime/quantization_type.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>

namespace opforge::runtime {

// All: @throws UnsupportedDtype, InvalidArgument before anything is launched or written; NoDevice,
// DriverError, CompileError, ToolchainNotFound, OfflineMiss where a first use fails.

/// value ~= code * step (+ offset), one record {step[, offset]} a group.
/// @param input    float16, bfloat16 or float32, any shape
/// @param groups   how many equal runs of consecutive elements share a record; must divide the
///                 element count
/// @param num_bits 2, 4 or 8
/// A group with a NaN or an infinity, or whose range overflows float32, gets NaN records and codes
/// 0. An empty group's record is {1[, 0]}.
OPFORGE_API QuantizedTensor quantize(const TensorView& input, std::int64_t groups, int num_bits,
                                     QuantizationType type, const OpOptions& options = {});

/// @param codes  int8 or uint8, any shape: groups * group_size * num_bits / 8 bytes
/// @param params float32, `groups` records of step (and offset), any shape
/// @param dtype  of the result: float16 (as DeepSpeed), bfloat16 or float32
/// @return values, of the codes' shape with the last dimension times 8 / num_bits
OPFORGE_API TensorView dequantize(const TensorView& codes, const TensorView& params,
                                  std::int64_t groups, int num_bits, QuantizationType type,
                                  const OpOptions& options = {}, Dtype dtype = Dtype::float16);
/// dequantize to float32.
OPFORGE_API TensorView dequantize_fp32(const TensorView& codes, const TensorView& params,
                                       std::int64_t groups, int num_bits, QuantizationType type,
                                       const OpOptions& options = {});
/// dequantize to bfloat16.
OPFORGE_API TensorView dequantize_bf16(const TensorView& codes, const TensorView& params,
                                       std::int64_t groups, int num_bits, QuantizationType type,
                                       const OpOptions& options = {});

/// Weight-only inference: unsigned codes, value = float16(float16(code / scale) + min).
/// @param data  uint8 (or int8 storage), num_group * group_size / 2 bytes, the first code of a byte
///              in its upper half; group_size must be even
/// @param scale float16, num_group values: the quantization scale, which divides
/// @param min   float16, num_group values
/// @return float16 [num_group, group_size]
OPFORGE_API TensorView dequantize_int4_to_half_experimental(
    const TensorView& data, const TensorView& scale, const TensorView& min, std::int64_t num_group,
    std::int64_t group_size, const OpOptions& options = {});
/// The same with one code a byte.
OPFORGE_API TensorView dequantize_int8_to_half_experimental(
    const TensorView& data, const TensorView& scale, const TensorView& min, std::int64_t num_group,
    std::int64_t group_size, const OpOptions& options = {});

}  // namespace opforge::runtime
