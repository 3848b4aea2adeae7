// Dtypes and shapes of the ops' outputs, for callers that bring their own memory. Pure functions;
// they check what they are given as the ops do.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/runtime/quantization_type.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstddef>
#include <cstdint>

namespace opforge::runtime {

struct OutputSpec {
    Dtype dtype = Dtype::int8;
    Shape shape;
    [[nodiscard]] std::size_t size_in_bytes() const noexcept {
        return static_cast<std::size_t>(shape.elements()) * size_bytes(dtype);
    }
    friend bool operator==(const OutputSpec&, const OutputSpec&) = default;
};

struct QuantizedSpec {
    OutputSpec codes;
    OutputSpec params;
    friend bool operator==(const QuantizedSpec&, const QuantizedSpec&) = default;
};

// All: @throws InvalidArgument where counts do not divide, a group does not fill whole bytes, a
// width is not one the op has, or the output's bytes are past 2^63.

/// codes: the input's shape, the last dimension times bits / 8 where that is whole, else 1-D.
[[nodiscard]] OPFORGE_API QuantizedSpec quantize_outputs(const Shape& input, std::int64_t groups,
                                                         int num_bits, QuantizationType type);
/// The codes' shape, the last dimension times 8 / bits.
/// @throws UnsupportedDtype for a dtype that dequantize does not give
[[nodiscard]] OPFORGE_API OutputSpec dequantize_output(const Shape& codes, std::int64_t groups,
                                                       int num_bits, Dtype dtype = Dtype::float16);
/// float16 [num_group, group_size]; num_bits 4 or 8.
[[nodiscard]] OPFORGE_API OutputSpec dequantize_experimental_output(std::int64_t num_group,
                                                                    std::int64_t group_size,
                                                                    int num_bits);
/// codes: 1-D. Also of loco_swizzle_quant.
[[nodiscard]] OPFORGE_API QuantizedSpec swizzle_quant_outputs(
    const Shape& input, std::int64_t groups, int num_bits, QuantizationType type,
    std::int64_t pipeline_size, std::int64_t nodes, std::int64_t devices_per_node);
/// codes: the input's shape, the last dimension divided by the devices. Also of
/// loco_quantized_reduction.
[[nodiscard]] OPFORGE_API QuantizedSpec
quantized_reduction_outputs(const Shape& codes, std::int64_t in_groups, std::int64_t out_groups,
                            int num_bits, QuantizationType type, std::int64_t devices_per_node);

}  // namespace opforge::runtime
