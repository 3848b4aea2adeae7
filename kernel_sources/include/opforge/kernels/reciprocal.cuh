// The reciprocal of a number that is far from the ends of float's range, without the branch that
// others need.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

/// 1 / x, rounded to nearest, for |x| in [2^-100, 2^100]: what a compiler makes of a division
/// there.
OPFORGE_DEVICE float reciprocal(float x) {
    float near;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(near) : "f"(x));
    return __fmaf_rn(near, __fmaf_rn(-x, near, 1.0f), near);
}

}  // namespace opforge
