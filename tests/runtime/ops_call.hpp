// One call of an op with codes: its tensors by what they are for, so that tests can treat the ops
// alike.
#pragma once

#include <opforge/runtime/op_options.hpp>
#include <opforge/runtime/quantization_type.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace opforge::test {

enum class Op : std::uint8_t {
    quantize,
    dequantize,
    dequantize_int4,
    dequantize_int8,
    swizzle_quant,
    loco_swizzle_quant,
    quantized_reduction,
    loco_quantized_reduction,
};
inline constexpr int kOps = 8;

/// The public function's name; a dequantizer's is that of its output dtype.
[[nodiscard]] std::string_view name(Op op, runtime::Dtype dtype = runtime::Dtype::float16);

enum class Role : std::uint8_t {
    input,    // values or codes
    records,  // steps and offsets to decode with; the experimental dequantizers' scales
    min,      // the experimental dequantizers'
    error,    // LoCo's, changed in place
    output,   // codes or values
    params,   // steps and offsets that come out
};
inline constexpr std::size_t kRoles = 6;
[[nodiscard]] std::string_view name(Role role);

template <class T>
class ByRole {
public:
    [[nodiscard]] T& operator[](Role role) { return all_[static_cast<std::size_t>(role)]; }
    [[nodiscard]] const T& operator[](Role role) const {
        return all_[static_cast<std::size_t>(role)];
    }

private:
    std::array<T, kRoles> all_{};
};
inline constexpr std::array<Role, kRoles> kAllRoles = {Role::input, Role::records, Role::min,
                                                       Role::error, Role::output,  Role::params};

struct OpsCall {
    Op op = Op::quantize;
    ByRole<std::optional<runtime::TensorView>> tensors;
    std::int64_t groups = 1;      // in_groups, num_group
    std::int64_t group_size = 1;  // experimental dequantizers only
    std::int64_t out_groups = 1;
    int bits = 8;
    runtime::QuantizationType type = runtime::QuantizationType::symmetric;
    std::int64_t pipeline = 1;
    std::int64_t nodes = 1;
    std::int64_t devices = 1;
    float beta = 0;
    runtime::Dtype dtype = runtime::Dtype::float16;  // of dequantize's result, or of the sums
    runtime::OpOptions options;                      // less the outputs, which are among `tensors`
};

struct OpsResult {
    runtime::TensorView output;
    std::optional<runtime::TensorView> params;
};

/// Calls the public function. An input that is absent is passed as an empty view; an output that is
/// absent is left to options.allocate.
OpsResult run(const OpsCall& call);

}  // namespace opforge::test
