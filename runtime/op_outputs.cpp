#include "op_operands.hpp"
#include "op_shapes.hpp"

#include <opforge/base/error.hpp>
#include <opforge/runtime/op_outputs.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace opforge::runtime {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

std::string text_of(const Shape& shape) {
    return fmt::format("[{}]", fmt::join(shape.dimensions(), ", "));
}

/// The shape with its last dimension times `times` / `by`, or 1-D where that is not whole.
Shape scaled(const char* op, const Shape& shape, std::int64_t times, std::int64_t by) {
    const std::int64_t elements = shape.elements();
    if (elements > kLargest / times) {
        throw InvalidArgument(fmt::format("{}: {} elements times {} are more than 2^63 - 1; split "
                                          "the tensor",
                                          op, elements, times));
    }
    const auto dimensions = shape.dimensions();
    if (dimensions.empty() || dimensions.back() > kLargest / times ||
        dimensions.back() * times % by != 0) {
        return Shape{elements * times / by};
    }
    std::array<std::int64_t, Shape::kMaxRank> result{};
    std::copy(dimensions.begin(), dimensions.end(), result.begin());
    result.at(dimensions.size() - 1) = dimensions.back() * times / by;
    return Shape(std::span(result.data(), dimensions.size()));
}

/// The spec, whose bytes an allocator can then be asked for: as a std::size_t they might wrap.
OutputSpec addressable(const char* op, OutputSpec spec) {
    const auto size = static_cast<std::int64_t>(size_bytes(spec.dtype));
    if (spec.shape.elements() > kLargest / size) {
        throw InvalidArgument(fmt::format("{}: an output of {} {} values is more than 2^63 - 1 "
                                          "bytes; split the tensor",
                                          op, spec.shape.elements(), to_string(spec.dtype)));
    }
    return spec;
}

OutputSpec records(const char* op, std::int64_t groups, QuantizationType type) {
    return {Dtype::float32, Shape{groups, numbers_of_records(op, groups, type) / groups}};
}

}  // namespace

void check_bits(const char* op, int num_bits, bool two_as_well) {
    if (num_bits == 4 || num_bits == 8 || (two_as_well && num_bits == 2)) {
        return;
    }
    throw InvalidArgument(
        fmt::format("{}: num_bits is {}; choose {}4 or 8", op, num_bits, two_as_well ? "2, " : ""));
}

void check_positive(const char* op, const char* what, std::int64_t value) {
    if (value < 1) {
        throw InvalidArgument(fmt::format("{}: {} is {}; choose 1 or more", op, what, value));
    }
}

std::int64_t divided(const char* op, std::int64_t count, const char* of_what, std::int64_t by,
                     const char* by_what) {
    if (count % by != 0) {
        throw InvalidArgument(fmt::format("{}: {} {} do not divide {} {} (remainder {}); choose a "
                                          "divisor, or pad the tensor",
                                          op, by, by_what, count, of_what, count % by));
    }
    return count / by;
}

void check_whole_bytes(const char* op, std::int64_t group_size, int num_bits) {
    const int codes_a_byte = 8 / num_bits;
    if (group_size % codes_a_byte != 0) {
        throw InvalidArgument(fmt::format("{}: groups of {} codes of {} bits do not fill whole "
                                          "bytes; choose a group size that is a multiple of {}",
                                          op, group_size, num_bits, codes_a_byte));
    }
}

void check_type(const char* op, QuantizationType type) {
    if (type != QuantizationType::symmetric && type != QuantizationType::asymmetric) {
        throw InvalidArgument(fmt::format("{}: the quantization type is {}; choose symmetric (0) "
                                          "or asymmetric (1)",
                                          op, static_cast<int>(type)));
    }
}

std::int64_t group_size_of(const char* op, std::int64_t elements, std::int64_t groups,
                           int num_bits) {
    check_positive(op, "groups", groups);
    const std::int64_t size = divided(op, elements, "elements", groups, "groups");
    check_whole_bytes(op, size, num_bits);
    return size;
}

std::int64_t numbers_of_records(const char* op, std::int64_t groups, QuantizationType type) {
    const std::int64_t each = type == QuantizationType::asymmetric ? 2 : 1;
    if (groups > kLargest / (each * static_cast<std::int64_t>(sizeof(float)))) {
        throw InvalidArgument(fmt::format(
            "{}: the records of {} groups are more than 2^63 - 1 bytes; choose fewer groups", op,
            groups));
    }
    return groups * each;
}

std::int64_t elements_of_codes(const char* op, const Shape& codes, int num_bits) {
    return scaled(op, codes, 8 / num_bits, 1).elements();
}

std::int64_t partitions_of(const char* op, std::int64_t pipeline_size, std::int64_t nodes,
                           std::int64_t devices_per_node) {
    check_positive(op, "pipeline_size", pipeline_size);
    check_positive(op, "nodes", nodes);
    check_positive(op, "devices_per_node", devices_per_node);
    std::int64_t all = 0;
    if (__builtin_mul_overflow(nodes, devices_per_node, &all) ||
        __builtin_mul_overflow(all, pipeline_size, &all)) {
        throw InvalidArgument(fmt::format("{}: {} nodes times {} devices times {} pipeline slices "
                                          "are more than 2^63 - 1",
                                          op, nodes, devices_per_node, pipeline_size));
    }
    return all;
}

QuantizedSpec quantized_spec(const char* op, const Shape& input, std::int64_t groups, int num_bits,
                             QuantizationType type) {
    check_bits(op, num_bits, true);
    check_type(op, type);
    group_size_of(op, input.elements(), groups, num_bits);
    return {{Dtype::int8, scaled(op, input, 1, 8 / num_bits)}, records(op, groups, type)};
}

OutputSpec dequantized_spec(const char* op, const Shape& codes, std::int64_t groups, int num_bits,
                            Dtype dtype) {
    check_bits(op, num_bits, true);
    group_size_of(op, elements_of_codes(op, codes, num_bits), groups, num_bits);
    return addressable(op, {dtype, scaled(op, codes, 8 / num_bits, 1)});
}

OutputSpec experimental_spec(const char* op, std::int64_t num_group, std::int64_t group_size,
                             int num_bits) {
    check_bits(op, num_bits, false);
    if (num_group < 0 || group_size < 0) {
        throw InvalidArgument(fmt::format("{}: num_group is {}, group_size is {}; neither may be "
                                          "negative",
                                          op, num_group, group_size));
    }
    std::int64_t elements = 0;
    if (__builtin_mul_overflow(num_group, group_size, &elements)) {
        throw InvalidArgument(fmt::format("{}: {} groups of {} elements are more than 2^63 - 1", op,
                                          num_group, group_size));
    }
    check_whole_bytes(op, group_size, num_bits);
    return addressable(op, {Dtype::float16, Shape{num_group, group_size}});
}

QuantizedSpec swizzled_spec(const char* op, const Shape& input, std::int64_t groups, int num_bits,
                            QuantizationType type, std::int64_t pipeline_size, std::int64_t nodes,
                            std::int64_t devices_per_node) {
    check_bits(op, num_bits, false);
    check_type(op, type);
    const std::int64_t size = group_size_of(op, input.elements(), groups, num_bits);
    const std::int64_t partitions = partitions_of(op, pipeline_size, nodes, devices_per_node);
    if (groups % partitions != 0) {
        throw InvalidArgument(fmt::format(
            "{}: {} groups are no multiple of the {} partitions of {} nodes times {} devices times "
            "{} pipeline slices; choose a multiple",
            op, groups, partitions, nodes, devices_per_node, pipeline_size));
    }
    // As groups times the bytes of one: elements times bits might not fit 64 bits.
    return {{Dtype::int8, Shape{groups * (size / (8 / num_bits))}}, records(op, groups, type)};
}

QuantizedSpec reduced_spec(const char* op, const Shape& codes, std::int64_t in_groups,
                           std::int64_t out_groups, int num_bits, QuantizationType type,
                           std::int64_t devices_per_node) {
    check_bits(op, num_bits, false);
    check_type(op, type);
    check_positive(op, "devices_per_node", devices_per_node);
    check_positive(op, "in_groups", in_groups);
    check_positive(op, "out_groups", out_groups);
    const auto dimensions = codes.dimensions();
    const std::int64_t last = dimensions.empty() ? 1 : dimensions.back();
    if (last % devices_per_node != 0) {
        throw InvalidArgument(fmt::format(
            "{}: the codes' last dimension, {} of {}, is no multiple of {} devices; flatten the "
            "codes, or check devices_per_node",
            op, last, text_of(codes), devices_per_node));
    }
    const std::int64_t elements = divided(op, elements_of_codes(op, codes, num_bits), "elements",
                                          devices_per_node, "devices");
    const std::int64_t groups = divided(op, in_groups, "in_groups", devices_per_node, "devices");
    check_whole_bytes(op, divided(op, elements, "elements a device", groups, "in_groups a device"),
                      num_bits);
    check_whole_bytes(op, divided(op, elements, "elements a device", out_groups, "out_groups"),
                      num_bits);
    return {{Dtype::int8, scaled(op, codes, 1, devices_per_node)}, records(op, out_groups, type)};
}

QuantizedSpec quantize_outputs(const Shape& input, std::int64_t groups, int num_bits,
                               QuantizationType type) {
    return quantized_spec("quantize", input, groups, num_bits, type);
}
OutputSpec dequantize_output(const Shape& codes, std::int64_t groups, int num_bits, Dtype dtype) {
    check_float("dequantize", "the result's dtype", dtype);
    return dequantized_spec("dequantize", codes, groups, num_bits, dtype);
}
OutputSpec dequantize_experimental_output(std::int64_t num_group, std::int64_t group_size,
                                          int num_bits) {
    return experimental_spec("dequantize_experimental", num_group, group_size, num_bits);
}
QuantizedSpec swizzle_quant_outputs(const Shape& input, std::int64_t groups, int num_bits,
                                    QuantizationType type, std::int64_t pipeline_size,
                                    std::int64_t nodes, std::int64_t devices_per_node) {
    return swizzled_spec("swizzle_quant", input, groups, num_bits, type, pipeline_size, nodes,
                         devices_per_node);
}
QuantizedSpec quantized_reduction_outputs(const Shape& codes, std::int64_t in_groups,
                                          std::int64_t out_groups, int num_bits,
                                          QuantizationType type, std::int64_t devices_per_node) {
    return reduced_spec("quantized_reduction", codes, in_groups, out_groups, num_bits, type,
                        devices_per_node);
}

}  // namespace opforge::runtime
