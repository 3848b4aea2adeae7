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

/// Ties away from zero, for v >= 0. Cut off after adding a half: both additions round toward zero,
/// so that what is below a tie stays below the next integer.
OPFORGE_DEVICE float round_half_up(float v) {
    constexpr float kShift = 8388608.0f;
    return __fadd_rz(__fadd_rz(v, 0.5f), kShift) - kShift;
}

/// v or its upper neighbour on the integer grid, the latter where a number uniform in [0, 1) is
/// below v - floor(v). `draw` is that number times 2^-125. By additions alone, which run
/// at twice the rate of comparisons and selections: what the number leaves of the fraction is above
/// zero, or at most zero and above -1, so rounding it up on the integer grid adds one or nothing.
OPFORGE_DEVICE float round_stochastic(float v, float draw) {
    constexpr float kShift = 12582912.0f;
    const float shifted = __fadd_rd(v, kShift);
    const float fraction = v - (shifted - kShift);
    return __fadd_ru(shifted, __fmaf_rn(draw, -0x1p125f, fraction)) - kShift;
}

/// As round_stochastic, for v >= 0, where v - floor(v) is exact: then the two roundings are one.
OPFORGE_DEVICE float round_stochastic_up(float v, float draw) {
    constexpr float kShift = 12582912.0f;
    float left;
    asm("fma.rp.f32 %0, %1, %2, %3;" : "=f"(left) : "f"(draw), "f"(-0x1p125f), "f"(v));
    return __fadd_ru(left, kShift) - kShift;
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
