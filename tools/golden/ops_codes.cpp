#include "runners.hpp"

#include <opforge/runtime/gradient_reduction.hpp>
#include <opforge/runtime/quantize.hpp>

#include <fmt/format.h>

namespace opforge::golden {

namespace {

runtime::QuantizationType type_of(const Case& of) {
    const std::string name = text(of, "type");
    if (name == "symmetric") {
        return runtime::QuantizationType::symmetric;
    }
    if (name == "asymmetric") {
        return runtime::QuantizationType::asymmetric;
    }
    throw VectorError(fmt::format("case {}: \"type\" is {}; it must be symmetric or asymmetric",
                                  of.index, printable(name)));
}

float beta_of(const Case& of) {
    return static_cast<float>(number(of, "err_beta"));
}

runtime::OpOptions options_for(Place::Outputs& outputs) {
    runtime::OpOptions options;
    options.allocate = outputs.allocator();
    return options;
}

Tensors read(const Place::Outputs& outputs, const runtime::QuantizedTensor& result,
             const char* params) {
    Tensors tensors;
    tensors.emplace("output", outputs.read(result.codes));
    tensors.emplace(params, outputs.read(result.params));
    return tensors;
}

// The reference's own cases have no bf16; those made for opforge have, and those that say nothing
// about outputs get every dtype.
bool wants_bfloat16(const Case& of) {
    const Tensors& listed = of.expected.empty() ? of.outputs : of.expected;
    return listed.empty() || listed.count("bf16") != 0;
}

using Experimental = runtime::TensorView (*)(const runtime::TensorView&, const runtime::TensorView&,
                                             const runtime::TensorView&, std::int64_t, std::int64_t,
                                             const runtime::OpOptions&);

Tensors run_experimental(const Case& of, const Place& place, Experimental function) {
    const Place::Copy codes(place, input(of, "input"));
    const Place::Copy scale(place, input(of, "scale"));
    const Place::Copy min(place, input(of, "min"));
    Place::Outputs outputs(place);
    const auto result = function(codes.view(), scale.view(), min.view(), integer(of, "groups"),
                                 integer(of, "group_size"), options_for(outputs));
    Tensors tensors;
    tensors.emplace("output", outputs.read(result));
    return tensors;
}

}  // namespace

Tensors run_quantize(const Case& of, const Place& place) {
    const Place::Copy values(place, input(of, "input"));
    Place::Outputs outputs(place);
    runtime::OpOptions options = options_for(outputs);
    options.stochastic = flag(of, "sr");
    if (options.stochastic) {
        options.random =
            runtime::RandomState{unsigned_integer(of, "seed"), unsigned_integer(of, "offset")};
    }
    const auto result = runtime::quantize(values.view(), integer(of, "groups"),
                                          small_integer(of, "bits"), type_of(of), options);
    return read(outputs, result, "params");
}

Tensors run_dequantize(const Case& of, const Place& place) {
    const Place::Copy codes(place, input(of, "input"));
    const Place::Copy params(place, input(of, "params"));
    const std::int64_t groups = integer(of, "groups");
    const int bits = small_integer(of, "bits");
    const runtime::QuantizationType type = type_of(of);
    Place::Outputs outputs(place);
    const runtime::OpOptions options = options_for(outputs);
    Tensors tensors;
    tensors.emplace("fp16", outputs.read(runtime::dequantize(codes.view(), params.view(), groups,
                                                             bits, type, options)));
    tensors.emplace("fp32", outputs.read(runtime::dequantize_fp32(codes.view(), params.view(),
                                                                  groups, bits, type, options)));
    if (wants_bfloat16(of)) {
        tensors.emplace("bf16", outputs.read(runtime::dequantize_bf16(
                                    codes.view(), params.view(), groups, bits, type, options)));
    }
    return tensors;
}

Tensors run_dequantize_int4_experimental(const Case& of, const Place& place) {
    return run_experimental(of, place, runtime::dequantize_int4_to_half_experimental);
}

Tensors run_dequantize_int8_experimental(const Case& of, const Place& place) {
    return run_experimental(of, place, runtime::dequantize_int8_to_half_experimental);
}

Tensors run_swizzle_quant(const Case& of, const Place& place) {
    const Place::Copy values(place, input(of, "input"));
    Place::Outputs outputs(place);
    const auto result =
        runtime::swizzle_quant(values.view(), integer(of, "groups"), small_integer(of, "bits"),
                               type_of(of), integer(of, "pipeline"), integer(of, "nodes"),
                               integer(of, "devices_per_node"), options_for(outputs));
    return read(outputs, result, "scales");
}

Tensors run_loco_swizzle_quant(const Case& of, const Place& place) {
    const Place::Copy values(place, input(of, "input"));
    const Place::Copy error(place, input(of, "error_feedback"));
    Place::Outputs outputs(place);
    const auto result = runtime::loco_swizzle_quant(
        values.view(), error.view(), beta_of(of), integer(of, "groups"), small_integer(of, "bits"),
        type_of(of), integer(of, "pipeline"), integer(of, "nodes"), integer(of, "devices_per_node"),
        options_for(outputs));
    Tensors tensors = read(outputs, result, "scales");
    tensors.emplace("error_feedback", error.read());
    return tensors;
}

Tensors run_quantized_reduction(const Case& of, const Place& place) {
    const Place::Copy codes(place, input(of, "input"));
    const Place::Copy scales(place, input(of, "scales"));
    const runtime::Dtype dtype =
        of.attributes.contains("dtype") ? to_dtype(text(of, "dtype")) : runtime::Dtype::float16;
    Place::Outputs outputs(place);
    const auto result = runtime::quantized_reduction(
        codes.view(), scales.view(), integer(of, "in_groups"), integer(of, "out_groups"),
        small_integer(of, "bits"), type_of(of), integer(of, "devices_per_node"),
        options_for(outputs), dtype);
    return read(outputs, result, "scales");
}

Tensors run_loco_quantized_reduction(const Case& of, const Place& place) {
    const Place::Copy codes(place, input(of, "input"));
    const Place::Copy scales(place, input(of, "scales"));
    const Place::Copy error(place, input(of, "error_feedback"));
    Place::Outputs outputs(place);
    const auto result = runtime::loco_quantized_reduction(
        codes.view(), scales.view(), error.view(), beta_of(of), integer(of, "in_groups"),
        integer(of, "out_groups"), small_integer(of, "bits"), type_of(of),
        integer(of, "devices_per_node"), options_for(outputs));
    Tensors tensors = read(outputs, result, "scales");
    tensors.emplace("error_feedback", error.read());
    return tensors;
}

}  // namespace opforge::golden
