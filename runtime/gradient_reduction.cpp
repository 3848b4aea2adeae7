#include "host/quantize_host.hpp"
#include "op_operands.hpp"
#include "op_shapes.hpp"
#include "quantize_device.hpp"

#include <opforge/runtime/errors.hpp>
#include <opforge/runtime/gradient_reduction.hpp>

#include <fmt/format.h>

namespace opforge::runtime {
namespace {

/// LoCo's part of a call.
struct Feedback {
    const TensorView* error = nullptr;  // null: none
    float beta = 0;
};

struct SwizzleArguments {
    std::int64_t pipeline_size;
    std::int64_t nodes;
    std::int64_t devices_per_node;
};

void run(const char* op, const QuantizeTask& task, Device device, const OpOptions& options) {
    if (device.kind == Device::Kind::cpu) {
        host::quantize(task, options.threads);
    } else {
        quantize_on_device(op, task, device.ordinal, options.stream, 0);
    }
}

QuantizedTensor swizzle(const char* op, const TensorView& input, Feedback feedback,
                        std::int64_t groups, int num_bits, QuantizationType type,
                        const SwizzleArguments& by, const OpOptions& options) {
    check_float(op, "the tensor", input.dtype);
    const QuantizedSpec spec = swizzled_spec(op, input.shape, groups, num_bits, type,
                                             by.pipeline_size, by.nodes, by.devices_per_node);
    Operands operands(op, input.device, options);
    operands.add("the input", input, {input.dtype}, input.elements());
    if (feedback.error != nullptr) {
        operands.add("error_feedback", *feedback.error, {input.dtype}, input.elements(), true);
    }
    operands.add_output("the codes", options.output, spec.codes, {Dtype::int8, Dtype::uint8});
    operands.add_output("scales", options.params, spec.params, {Dtype::float32});
    operands.check_overlaps();
    const QuantizedTensor result{operands.output("the codes", options.output, spec.codes),
                                 operands.output("scales", options.params, spec.params)};
    const QuantizeTask task{
        .dtype = input.dtype,
        .input = input.data,
        .reduction = {},
        .error = feedback.error != nullptr ? feedback.error->data : nullptr,
        .err_beta = feedback.beta,
        .codes = static_cast<std::uint8_t*>(result.codes.data),
        .params = static_cast<float*>(result.params.data),
        .groups = groups,
        .group_size = input.elements() / groups,
        .bits = num_bits,
        .asymmetric = type == QuantizationType::asymmetric,
        .swizzle = {.pipeline_size = by.pipeline_size,
                    .nodes = by.nodes,
                    .devices_per_node = by.devices_per_node,
                    .contiguous = groups / partitions_of(op, by.pipeline_size, by.nodes,
                                                         by.devices_per_node)},
        .random = {}};
    run(op, task, input.device, options);
    return result;
}

QuantizedTensor reduce(const char* op, const TensorView& codes, const TensorView& scales,
                       Feedback feedback, std::int64_t in_groups, std::int64_t out_groups,
                       int num_bits, QuantizationType type, std::int64_t devices_per_node,
                       const OpOptions& options, Dtype dtype) {
    check_float(op, feedback.error != nullptr ? "error_feedback" : "the working dtype", dtype);
    const QuantizedSpec spec =
        reduced_spec(op, codes.shape, in_groups, out_groups, num_bits, type, devices_per_node);
    const std::int64_t elements = elements_of_codes(op, codes.shape, num_bits) / devices_per_node;
    Operands operands(op, codes.device, options);
    operands.add("the codes", codes, {Dtype::int8, Dtype::uint8}, codes.elements());
    operands.add("scales", scales, {Dtype::float32}, numbers_of_records(op, in_groups, type));
    if (feedback.error != nullptr) {
        operands.add("error_feedback", *feedback.error, {dtype}, elements, true);
    }
    operands.add_output("the output codes", options.output, spec.codes,
                        {Dtype::int8, Dtype::uint8});
    operands.add_output("the output scales", options.params, spec.params, {Dtype::float32});
    operands.check_overlaps();
    const QuantizedTensor result{operands.output("the output codes", options.output, spec.codes),
                                 operands.output("the output scales", options.params, spec.params)};
    const std::int64_t device_groups = in_groups / devices_per_node;
    const QuantizeTask task{.dtype = dtype,
                            .reduction = {.codes = static_cast<const std::uint8_t*>(codes.data),
                                          .params = static_cast<const float*>(scales.data),
                                          .devices = devices_per_node,
                                          .elements = elements,
                                          .groups = device_groups,
                                          .group_size = elements / device_groups},
                            .error = feedback.error != nullptr ? feedback.error->data : nullptr,
                            .err_beta = feedback.beta,
                            .codes = static_cast<std::uint8_t*>(result.codes.data),
                            .params = static_cast<float*>(result.params.data),
                            .groups = out_groups,
                            .group_size = elements / out_groups,
                            .bits = num_bits,
                            .asymmetric = type == QuantizationType::asymmetric,
                            .swizzle = {},
                            .random = {}};
    run(op, task, codes.device, options);
    return result;
}

}  // namespace

QuantizedTensor swizzle_quant(const TensorView& input, std::int64_t groups, int num_bits,
                              QuantizationType type, std::int64_t pipeline_size, std::int64_t nodes,
                              std::int64_t devices_per_node, const OpOptions& options) {
    return swizzle("swizzle_quant", input, {}, groups, num_bits, type,
                   {pipeline_size, nodes, devices_per_node}, options);
}

QuantizedTensor loco_swizzle_quant(const TensorView& input, const TensorView& error_feedback,
                                   float err_beta, std::int64_t groups, int num_bits,
                                   QuantizationType type, std::int64_t pipeline_size,
                                   std::int64_t nodes, std::int64_t devices_per_node,
                                   const OpOptions& options) {
    return swizzle("loco_swizzle_quant", input, {&error_feedback, err_beta}, groups, num_bits, type,
                   {pipeline_size, nodes, devices_per_node}, options);
}

QuantizedTensor quantized_reduction(const TensorView& codes, const TensorView& scales,
                                    std::int64_t in_groups, std::int64_t out_groups, int num_bits,
                                    QuantizationType type, std::int64_t devices_per_node,
                                    const OpOptions& options, Dtype dtype) {
    return reduce("quantized_reduction", codes, scales, {}, in_groups, out_groups, num_bits, type,
                  devices_per_node, options, dtype);
}

QuantizedTensor loco_quantized_reduction(const TensorView& codes, const TensorView& scales,
                                         const TensorView& error_feedback, float err_beta,
                                         std::int64_t in_groups, std::int64_t out_groups,
                                         int num_bits, QuantizationType type,
                                         std::int64_t devices_per_node, const OpOptions& options) {
    return reduce("loco_quantized_reduction", codes, scales, {&error_feedback, err_beta}, in_groups,
                  out_groups, num_bits, type, devices_per_node, options, error_feedback.dtype);
}

}  // namespace opforge::runtime
