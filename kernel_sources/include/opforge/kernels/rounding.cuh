// Float to integral float, without a trip through integer registers (conversions run at a quarter
// of the rate). Valid for |v| <= 2^22: adding 1.5 * 2^23 leaves no fraction bits, so the sum itself
// rounds, ties to even. The result is never -0. Needs IEEE additions: never compile with fast-math.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

OPFORGE_DEVICE float round_half_even(float v) {
    constexpr float kShift = 12582912.0f;
    return (v + kShift) - kShift;
}

/// As round_half_even, left in the bits: the lowest 22 are the integer, in two's complement.
OPFORGE_DEVICE u32 rounded_bits(float v) {
    return __float_as_uint(v + 12582912.0f);
}
OPFORGE_DEVICE float rounded_value(u32 bits) {
    return __uint_as_float(bits) - 12582912.0f;
}

/// Ties away from zero, for v >= 0. Cut off after adding a half: both additions round toward zero,
/// so that what is below a tie stays below the next integer.
OPFORGE_DEVICE float round_half_up(float v) {
    constexpr float kShift = 8388608.0f;
    return __fadd_rz(__fadd_rz(v, 0.5f), kShift) - kShift;
}

OPFORGE_DEVICE float round_down(float v) {
    constexpr float kShift = 12582912.0f;
    return __fadd_rd(v, kShift) - kShift;
}

/// v or its upper neighbour on the integer grid, the latter with probability v - floor(v), for u
/// uniform in [0, 1).
OPFORGE_DEVICE float round_stochastic(float v, float u) {
    const float t = round_down(v);
    return u < v - t ? t + 1.0f : t;
}

OPFORGE_DEVICE bool is_finite(float value) {
    return fabsf(value) <= 3.402823466e+38f;
}

OPFORGE_DEVICE float quiet_nan() {
    return __uint_as_float(0x7fffffffu);
}

OPFORGE_DEVICE float clamp(float q, float low, float high) {
    return fminf(fmaxf(q, low), high);
}

}  // namespace opforge
