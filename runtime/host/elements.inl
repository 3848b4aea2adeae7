// Element formats of the host's inner loops, included once for each instruction set. Everything is in an unnamed namespace and nothing inline of the standard library
// is used: a function that another translation unit may share must not be compiled here for a
// machine that lacks the instructions. Loops over small buffers, without branches, for the compiler
// to vectorise. Needs IEEE float, no contraction. Float tricks are those of kernel_sources:
// rounding.cuh.

#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>

namespace opforge::runtime::host {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;

constexpr int kChunk = 256;  // elements a buffer; a multiple of 8

float as_float(u32 bits) {
    return __builtin_bit_cast(float, bits);
}
u32 as_bits(float value) {
    return __builtin_bit_cast(u32, value);
}

struct Fp16 {
    using Raw = u16;
    static constexpr u16 kSign = 0x8000;
    static float widen(u16 raw) {
        const u32 exponent = (raw >> 10U) & 31U;
        const u32 mantissa = raw & 0x3ffU;
        const u32 sign = static_cast<u32>(raw & 0x8000U) << 16U;
        const u32 normal = ((exponent + 112U) << 23U) | (mantissa << 13U);
        const u32 special = 0x7f800000U | (mantissa << 13U);
        const u32 subnormal =
            as_bits(static_cast<float>(static_cast<std::int32_t>(mantissa)) * 0x1p-24F);
        const u32 magnitude = exponent == 0 ? subnormal : (exponent == 31 ? special : normal);
        return as_float(magnitude | sign);
    }
    static u16 narrow(float value) {
        const u32 bits = as_bits(value);
        const u32 magnitude = bits & 0x7fffffffU;
        const u32 odd = (magnitude >> 13U) & 1U;
        const u32 normal = (magnitude - (112U << 23U) + 0xfffU + odd) >> 13U;
        // Below 2^-14: adding 0.5 moves the value's last fp16 bit to the sum's last bit, and the
        // addition rounds.
        const u32 subnormal = as_bits(as_float(magnitude) + 0.5F) - 0x3f000000U;
        const u32 special = magnitude > 0x7f800000U ? 0x7e00U : 0x7c00U;
        const u32 finite = magnitude < 0x38800000U ? subnormal : normal;
        const u32 result = magnitude >= 0x47800000U ? special : finite;
        return static_cast<u16>(result | ((bits >> 16U) & 0x8000U));
    }
    /// The nearest fp16 value, as float: below the magnitude's own power of two times 2^13, whose
    /// last bit is fp16's (2^-24 for subnormals), an addition rounds.
    static float round(float value) {
        const u32 magnitude = as_bits(value) & 0x7fffffffU;
        const u32 exponent = magnitude & 0x7f800000U;
        const float shift =
            as_float((exponent < (113U << 23U) ? (113U << 23U) : exponent) + (13U << 23U));
        const float absolute = as_float(magnitude);
        const float finite = (absolute + shift) - shift;
        const float result =
            absolute < 65520.0F ? finite : absolute + as_float(0x7f800000U);  // keeps a NaN
        return as_float(as_bits(result) | (as_bits(value) & 0x80000000U));
    }
};

struct Bf16 {
    using Raw = u16;
    static constexpr u16 kSign = 0x8000;
    static float widen(u16 raw) { return as_float(static_cast<u32>(raw) << 16U); }
    static u16 narrow(float value) {
        const u32 bits = as_bits(value);
        const u32 rounded = (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
        return static_cast<u16>((bits & 0x7fffffffU) > 0x7f800000U ? 0x7fc0U : rounded);
    }
    static float round(float value) { return widen(narrow(value)); }
};

struct Fp32 {
    using Raw = u32;
    static constexpr u32 kSign = 0x80000000U;
    static float widen(u32 raw) { return as_float(raw); }
    static u32 narrow(float value) { return as_bits(value); }
    static float round(float value) { return value; }
};

/// Calls `act` with the format of a floating-point dtype.
template <class Act>
auto with_element(Dtype dtype, Act act) {
    switch (dtype) {
    case Dtype::float16:
        return act(Fp16{});
    case Dtype::bfloat16:
        return act(Bf16{});
    default:
        return act(Fp32{});
    }
}

}  // namespace
}  // namespace opforge::runtime::host
