// What a group's range makes of its values: scale, step and offset, and the codes (contract,
// sections 4 and 5, and 1.1). Symmetric or asymmetric, by a type each.
#pragma once

#include "opforge/kernels/element.cuh"
#include "opforge/kernels/range.cuh"
#include "opforge/kernels/rounding.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// A code from a scaled value: saturating, and 0 for a NaN, as the conversions of the hardware do.
OPFORGE_DEVICE int nearest_code(float v, int code_min, int code_max) {
    return min(max(__float2int_rn(v), code_min), code_max);
}
OPFORGE_DEVICE int stochastic_code(float v, float u, int code_min, int code_max) {
    const float t = floorf(v);
    const float q = u < v - t ? t + 1.0f : t;
    return min(max(__float2int_rn(q), code_min), code_max);
}

/// A poisoned group has a NaN scale, which makes every code 0, and a NaN step, which makes every
/// decoded value NaN.
struct SymmetricParameters {
    using Range = MagnitudeRange<Fp32>;
    static constexpr int kRecord = 1;
    float scale;
    float step;

    OPFORGE_DEVICE SymmetricParameters(const Range& range, float levels) {
        const float twice = 2.0f * range.magnitude();
        scale = twice == 0.0f ? 1.0f : levels / twice;
        if (!is_finite(twice)) {
            scale = quiet_nan();
        }
        step = 1.0f / scale;
    }
    OPFORGE_DEVICE float position(float x) const { return x * scale; }
    OPFORGE_DEVICE float decode(float code) const { return code * step; }
    OPFORGE_DEVICE void store(float* record) const { record[0] = step; }
};

struct AsymmetricParameters {
    using Range = ExtremaRange<Fp32>;
    static constexpr int kRecord = 2;
    float scale;
    float step;
    float offset;

    OPFORGE_DEVICE AsymmetricParameters(const Range& range, float levels) {
        const float low = range.lowest();
        const float high = range.highest();
        const float width = high - low;
        const float sum = high + low;
        scale = high == low ? 1.0f : levels / width;
        offset = sum * 0.5f;
        if (!is_finite(width) || !is_finite(sum)) {
            scale = quiet_nan();
            offset = quiet_nan();
        }
        step = 1.0f / scale;
    }
    OPFORGE_DEVICE float position(float x) const { return (x - offset) * scale; }
    OPFORGE_DEVICE float decode(float code) const { return __fmaf_rn(code, step, offset); }
    OPFORGE_DEVICE void store(float* record) const {
        record[0] = step;
        record[1] = offset;
    }
};

/// A record as a reader of codes needs it.
struct SymmetricRecord {
    float step;
    OPFORGE_DEVICE SymmetricRecord(const float* records, i64 group) : step(records[group]) {}
    OPFORGE_DEVICE float decode(float code) const { return code * step; }
};
struct AsymmetricRecord {
    float step;
    float offset;
    OPFORGE_DEVICE AsymmetricRecord(const float* records, i64 group)
        : step(records[2 * group]), offset(records[2 * group + 1]) {}
    OPFORGE_DEVICE float decode(float code) const { return __fmaf_rn(code, step, offset); }
};

}  // namespace opforge
