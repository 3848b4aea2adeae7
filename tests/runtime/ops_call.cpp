#include "ops_call.hpp"

#include <opforge/runtime/gradient_reduction.hpp>
#include <opforge/runtime/quantize.hpp>

namespace opforge::test {

using runtime::Dtype;

namespace {

runtime::TensorView given(const OpsCall& call, Role role) {
    return call.tensors[role].value_or(runtime::TensorView{});
}

OpsResult both(const runtime::QuantizedTensor& result) {
    return {result.codes, result.params};
}

runtime::TensorView dequantize(const OpsCall& call, const runtime::OpOptions& options) {
    const auto codes = given(call, Role::input);
    const auto records = given(call, Role::records);
    if (call.dtype == Dtype::float32) {
        return runtime::dequantize_fp32(codes, records, call.groups, call.bits, call.type, options);
    }
    if (call.dtype == Dtype::bfloat16) {
        return runtime::dequantize_bf16(codes, records, call.groups, call.bits, call.type, options);
    }
    return runtime::dequantize(codes, records, call.groups, call.bits, call.type, options,
                               call.dtype);
}

}  // namespace

std::string_view name(Op op, Dtype dtype) {
    switch (op) {
    case Op::quantize:
        return "quantize";
    case Op::dequantize:
        return dtype == Dtype::float32    ? "dequantize_fp32"
               : dtype == Dtype::bfloat16 ? "dequantize_bf16"
                                          : "dequantize";
    case Op::dequantize_int4:
        return "dequantize_int4_to_half_experimental";
    case Op::dequantize_int8:
        return "dequantize_int8_to_half_experimental";
    case Op::swizzle_quant:
        return "swizzle_quant";
    case Op::loco_swizzle_quant:
        return "loco_swizzle_quant";
    case Op::quantized_reduction:
        return "quantized_reduction";
    case Op::loco_quantized_reduction:
        return "loco_quantized_reduction";
    }
    return "?";
}

std::string_view name(Role role) {
    constexpr std::array<std::string_view, kRoles> kNames = {"input", "records", "min",
                                                             "error", "output",  "params"};
    return kNames[static_cast<std::size_t>(role)];
}

OpsResult run(const OpsCall& call) {
    runtime::OpOptions options = call.options;
    options.output = call.tensors[Role::output];
    options.params = call.tensors[Role::params];
    const auto input = given(call, Role::input);
    const auto records = given(call, Role::records);
    const auto error = given(call, Role::error);
    switch (call.op) {
    case Op::quantize:
        return both(runtime::quantize(input, call.groups, call.bits, call.type, options));
    case Op::dequantize:
        return {dequantize(call, options), {}};
    case Op::dequantize_int4:
        return {runtime::dequantize_int4_to_half_experimental(
                    input, records, given(call, Role::min), call.groups, call.group_size, options),
                {}};
    case Op::dequantize_int8:
        return {runtime::dequantize_int8_to_half_experimental(
                    input, records, given(call, Role::min), call.groups, call.group_size, options),
                {}};
    case Op::swizzle_quant:
        return both(runtime::swizzle_quant(input, call.groups, call.bits, call.type, call.pipeline,
                                           call.nodes, call.devices, options));
    case Op::loco_swizzle_quant:
        return both(runtime::loco_swizzle_quant(input, error, call.beta, call.groups, call.bits,
                                                call.type, call.pipeline, call.nodes, call.devices,
                                                options));
    case Op::quantized_reduction:
        return both(runtime::quantized_reduction(input, records, call.groups, call.out_groups,
                                                 call.bits, call.type, call.devices, options,
                                                 call.dtype));
    case Op::loco_quantized_reduction:
        return both(runtime::loco_quantized_reduction(input, records, error, call.beta, call.groups,
                                                      call.out_groups, call.bits, call.type,
                                                      call.devices, options));
    }
    return {};
}

}  // namespace opforge::test
