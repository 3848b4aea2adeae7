// The runners behind ops.hpp's table.
#pragma once

#include "place.hpp"
#include "vectors.hpp"

namespace opforge::golden {

[[nodiscard]] Tensors run_ds_quantizer(const Case& of, const Place& place);
[[nodiscard]] Tensors run_quantize(const Case& of, const Place& place);
[[nodiscard]] Tensors run_dequantize(const Case& of, const Place& place);
[[nodiscard]] Tensors run_dequantize_int4_experimental(const Case& of, const Place& place);
[[nodiscard]] Tensors run_dequantize_int8_experimental(const Case& of, const Place& place);
[[nodiscard]] Tensors run_swizzle_quant(const Case& of, const Place& place);
[[nodiscard]] Tensors run_loco_swizzle_quant(const Case& of, const Place& place);
[[nodiscard]] Tensors run_quantized_reduction(const Case& of, const Place& place);
[[nodiscard]] Tensors run_loco_quantized_reduction(const Case& of, const Place& place);

}  // namespace opforge::golden
