// What a group's range makes of its values: scale, step and offset, and the codes (contract,
// sections 4 and 5, and 1.1). Symmetric or asymmetric, by a type each.
#pragma once

#include "opforge/kernels/element.cuh"
#include "opforge/kernels/range.cuh"
#include "opforge/kernels/rounding.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// The codes that a group may have. Of a poisoned one: 0, which even a NaN is clamped to.
struct CodeBounds {
    float low;
    float high;

    OPFORGE_DEVICE CodeBounds(u32 bits, bool poisoned) {
        const float half = static_cast<float>(1u << (bits - 1));
        low = poisoned ? 0.0f : -half;
        high = poisoned ? 0.0f : half - 1.0f;
    }
    /// The code of a scaled value, saturating. What is clamped before it is rounded is small enough
    /// for rounding.cuh, and the bounds are integral, so that the order makes no difference.
    OPFORGE_DEVICE float nearest(float v) const { return clamp(v, low, high); }
    /// A bound has no fraction that a draw could take beyond it.
    OPFORGE_DEVICE float stochastic(float v, float draw) const {
        return round_stochastic(clamp(v, low, high), draw);
    }
};

/// A group's factor from values to codes. Where it is infinite (a tiny range), zero times it would
/// be NaN, and 0 is what the code has to be: two steps then, that take zero to zero and all else
/// beyond every bound. The second step is 1 else, which changes nothing.
struct CodeScale {
    float first;
    float second;

    OPFORGE_DEVICE explicit CodeScale(float scale) {
        const bool infinite = scale > 3.402823466e+38f;
        first = infinite ? 0x1p126f : scale;
        second = infinite ? 0x1p126f : 1.0f;
    }
    OPFORGE_DEVICE float operator()(float x) const { return x * first * second; }
};

/// A poisoned group has a NaN step, which makes every decoded value NaN. RangeElement: the format
/// in which the range was found; it makes no difference to the parameters.
template <class RangeElement>
struct SymmetricParameters {
    using Range = MagnitudeRange<RangeElement>;
    static constexpr int kRecord = 1;
    CodeScale scale;
    float step;
    bool poisoned;

    OPFORGE_DEVICE SymmetricParameters(const Range& range, float levels)
        : SymmetricParameters(2.0f * range.magnitude(), levels, true) {}
    OPFORGE_DEVICE float position(float x) const { return scale(x); }
    OPFORGE_DEVICE float decode(float code) const { return code * step; }
    OPFORGE_DEVICE void store(float* record) const { record[0] = step; }

private:
    OPFORGE_DEVICE SymmetricParameters(float twice, float levels, bool)
        : scale(twice == 0.0f ? 1.0f : levels / twice), poisoned(!is_finite(twice)) {
        // Of the scale itself, which is infinite where two steps stand for it.
        step = poisoned ? quiet_nan() : scale.second == 1.0f ? 1.0f / scale.first : 0.0f;
    }
};

template <class RangeElement>
struct AsymmetricParameters {
    using Range = ExtremaRange<RangeElement>;
    static constexpr int kRecord = 2;
    CodeScale scale;
    float step;
    float offset;
    bool poisoned;

    OPFORGE_DEVICE AsymmetricParameters(const Range& range, float levels)
        : AsymmetricParameters(range.lowest(), range.highest(), levels) {}
    OPFORGE_DEVICE float position(float x) const { return scale(x - offset); }
    OPFORGE_DEVICE float decode(float code) const { return __fmaf_rn(code, step, offset); }
    OPFORGE_DEVICE void store(float* record) const {
        record[0] = step;
        record[1] = offset;
    }

private:
    OPFORGE_DEVICE AsymmetricParameters(float low, float high, float levels)
        : scale(high == low ? 1.0f : levels / (high - low)) {
        const float sum = high + low;
        poisoned = !is_finite(high - low) || !is_finite(sum);
        step = poisoned ? quiet_nan() : scale.second == 1.0f ? 1.0f / scale.first : 0.0f;
        offset = poisoned ? quiet_nan() : sum * 0.5f;
    }
};

/// A record as a reader of codes needs it.
struct SymmetricRecord {
    float step;
    SymmetricRecord() = default;
    OPFORGE_DEVICE SymmetricRecord(const float* records, i64 group) : step(records[group]) {}
    OPFORGE_DEVICE float decode(float code) const { return code * step; }
};
struct AsymmetricRecord {
    float step;
    float offset;
    AsymmetricRecord() = default;
    OPFORGE_DEVICE AsymmetricRecord(const float* records, i64 group)
        : step(records[2 * group]), offset(records[2 * group + 1]) {}
    OPFORGE_DEVICE float decode(float code) const { return __fmaf_rn(code, step, offset); }
};

}  // namespace opforge
