// Everything a user of the quantizer needs, under one name: `opforge::ds_quantizer(tensor, groups,
// bits)`.
#pragma once

#include <opforge/runtime/dlpack.hpp>
#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/errors.hpp>
#include <opforge/runtime/gradient_reduction.hpp>
#include <opforge/runtime/op_outputs.hpp>
#include <opforge/runtime/op_table.hpp>
#include <opforge/runtime/quantize.hpp>
#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>
#include <opforge/runtime/warm_up.hpp>

namespace opforge {

using runtime::CallOptions;
using runtime::dequantize;
using runtime::dequantize_bf16;
using runtime::dequantize_fp32;
using runtime::dequantize_int4_to_half_experimental;
using runtime::dequantize_int8_to_half_experimental;
using runtime::Device;
using runtime::ds_quantize_asym_fp16;
using runtime::ds_quantize_asym_fp32;
using runtime::ds_quantize_fp16;
using runtime::ds_quantize_fp32;
using runtime::ds_quantizer;
using runtime::ds_sr_quantize_asym_fp16;
using runtime::ds_sr_quantize_asym_fp32;
using runtime::ds_sr_quantize_fp16;
using runtime::ds_sr_quantize_fp32;
using runtime::Dtype;
using runtime::ImportedTensor;
using runtime::loco_quantized_reduction;
using runtime::loco_swizzle_quant;
using runtime::manual_seed;
using runtime::op_table;
using runtime::OpOptions;
using runtime::QuantizationType;
using runtime::quantize;
using runtime::quantized_reduction;
using runtime::QuantizedTensor;
using runtime::RandomState;
using runtime::Shape;
using runtime::swizzle_quant;
using runtime::TensorView;
using runtime::to_dlpack;
using runtime::to_unversioned_dlpack;
using runtime::warm_up;

}  // namespace opforge
