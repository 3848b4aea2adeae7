#include "host/quantize_host.hpp"
#include "op_operands.hpp"
#include "op_shapes.hpp"
#include "quantize_device.hpp"

#include <opforge/base/error.hpp>
#include <opforge/runtime/quantize.hpp>

#include <fmt/format.h>

namespace opforge::runtime {
namespace {

// A dequantizer's `params` are an argument; the option would be a buffer that nothing is put in.
void refuse_params(const char* op, const OpOptions& options) {
    if (options.params) {
        throw InvalidArgument(fmt::format("{}: it gives no records; leave `params` out of the "
                                          "options",
                                          op));
    }
}

TensorView dequantize_as(const char* op, const TensorView& codes, const TensorView& params,
                         std::int64_t groups, int num_bits, QuantizationType type,
                         const OpOptions& options, Dtype dtype) {
    check_float(op, "the result's dtype", dtype);
    check_type(op, type);
    const OutputSpec spec = dequantized_spec(op, codes.shape, groups, num_bits, dtype);
    refuse_params(op, options);
    Operands operands(op, codes.device, options);
    operands.add("the codes", codes, {Dtype::int8, Dtype::uint8}, codes.elements());
    operands.add("params", params, {Dtype::float32}, numbers_of_records(op, groups, type));
    operands.add_output("the output", options.output, spec, {dtype});
    operands.check_overlaps();
    const TensorView output = operands.output("the output", options.output, spec);
    if (spec.shape.elements() == 0) {
        return output;
    }
    const DequantizeTask task{.codes = static_cast<const std::uint8_t*>(codes.data),
                              .params = static_cast<const float*>(params.data),
                              .output = output.data,
                              .dtype = dtype,
                              .groups = groups,
                              .group_size = spec.shape.elements() / groups,
                              .bits = num_bits,
                              .asymmetric = type == QuantizationType::asymmetric};
    if (codes.device.kind == Device::Kind::cpu) {
        host::dequantize(task, options.threads);
    } else {
        dequantize_on_device(op, task, codes.device.ordinal, options.stream);
    }
    return output;
}

TensorView dequantize_experimental(const char* op, const TensorView& data, const TensorView& scale,
                                   const TensorView& min, std::int64_t num_group,
                                   std::int64_t group_size, int num_bits,
                                   const OpOptions& options) {
    const OutputSpec spec = experimental_spec(op, num_group, group_size, num_bits);
    refuse_params(op, options);
    Operands operands(op, data.device, options);
    // Divided by the codes a byte before the product, which may be as large as 2^63 - 1.
    operands.add("data", data, {Dtype::uint8, Dtype::int8},
                 num_group * (group_size / (8 / num_bits)));
    operands.add("scale", scale, {Dtype::float16}, num_group);
    operands.add("min", min, {Dtype::float16}, num_group);
    operands.add_output("the output", options.output, spec, {Dtype::float16});
    operands.check_overlaps();
    const TensorView output = operands.output("the output", options.output, spec);
    if (spec.shape.elements() == 0) {
        return output;
    }
    const ExperimentalDequantizeTask task{.codes = static_cast<const std::uint8_t*>(data.data),
                                          .scale = static_cast<const std::uint16_t*>(scale.data),
                                          .min = static_cast<const std::uint16_t*>(min.data),
                                          .output = static_cast<std::uint16_t*>(output.data),
                                          .groups = num_group,
                                          .group_size = group_size,
                                          .bits = num_bits};
    if (data.device.kind == Device::Kind::cpu) {
        host::dequantize_experimental(task, options.threads);
    } else {
        dequantize_experimental_on_device(op, task, data.device.ordinal, options.stream);
    }
    return output;
}

}  // namespace

QuantizedTensor quantize(const TensorView& input, std::int64_t groups, int num_bits,
                         QuantizationType type, const OpOptions& options) {
    constexpr const char* kOp = "quantize";
    check_float(kOp, "the tensor", input.dtype);
    const QuantizedSpec spec = quantized_spec(kOp, input.shape, groups, num_bits, type);
    Operands operands(kOp, input.device, options, true);
    operands.add("the input", input, {input.dtype}, input.elements());
    operands.add_output("the codes", options.output, spec.codes, {Dtype::int8, Dtype::uint8});
    operands.add_output("params", options.params, spec.params, {Dtype::float32});
    operands.check_overlaps();
    const QuantizedTensor result{operands.output("the codes", options.output, spec.codes),
                                 operands.output("params", options.params, spec.params)};
    QuantizeTask task{.dtype = input.dtype,
                      .input = input.data,
                      .reduction = {},
                      .codes = static_cast<std::uint8_t*>(result.codes.data),
                      .params = static_cast<float*>(result.params.data),
                      .groups = groups,
                      .group_size = input.elements() / groups,
                      .bits = num_bits,
                      .asymmetric = type == QuantizationType::asymmetric,
                      .swizzle = {},
                      .stochastic = options.stochastic,
                      .random = {}};
    if (options.stochastic && options.device_random == 0) {
        task.random = options.random
                          ? *options.random
                          : next_random_state(static_cast<std::uint64_t>(input.elements()));
    }
    if (input.device.kind == Device::Kind::cpu) {
        host::quantize(task, options.threads);
    } else {
        quantize_on_device(kOp, task, input.device.ordinal, options.stream, options.device_random);
    }
    return result;
}

TensorView dequantize(const TensorView& codes, const TensorView& params, std::int64_t groups,
                      int num_bits, QuantizationType type, const OpOptions& options, Dtype dtype) {
    return dequantize_as("dequantize", codes, params, groups, num_bits, type, options, dtype);
}
TensorView dequantize_fp32(const TensorView& codes, const TensorView& params, std::int64_t groups,
                           int num_bits, QuantizationType type, const OpOptions& options) {
    return dequantize_as("dequantize_fp32", codes, params, groups, num_bits, type, options,
                         Dtype::float32);
}
TensorView dequantize_bf16(const TensorView& codes, const TensorView& params, std::int64_t groups,
                           int num_bits, QuantizationType type, const OpOptions& options) {
    return dequantize_as("dequantize_bf16", codes, params, groups, num_bits, type, options,
                         Dtype::bfloat16);
}

TensorView dequantize_int4_to_half_experimental(const TensorView& data, const TensorView& scale,
                                                const TensorView& min, std::int64_t num_group,
                                                std::int64_t group_size, const OpOptions& options) {
    return dequantize_experimental("dequantize_int4_to_half_experimental", data, scale, min,
                                   num_group, group_size, 4, options);
}
TensorView dequantize_int8_to_half_experimental(const TensorView& data, const TensorView& scale,
                                                const TensorView& min, std::int64_t num_group,
                                                std::int64_t group_size, const OpOptions& options) {
    return dequantize_experimental("dequantize_int8_to_half_experimental", data, scale, min,
                                   num_group, group_size, 8, options);
}

}  // namespace opforge::runtime
