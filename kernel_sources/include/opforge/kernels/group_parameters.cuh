// What a group's range makes of its values: scale, step and offset, and the codes (contract,
// sections 4 and 5, and 1.1). Symmetric or asymmetric, by a type each.
#pragma once

#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/element.cuh"
#include "opforge/kernels/range.cuh"
#include "opforge/kernels/reciprocal.cuh"
#include "opforge/kernels/rounding.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// The codes that a group may have. Of a poisoned one: 0, which even a NaN is clamped to.
/// Parameters: of the group.
template <class Parameters>
struct CodeBounds {
    float low;
    float high;

    OPFORGE_DEVICE CodeBounds(u32 bits, bool poisoned) {
        const float half = static_cast<float>(1u << (bits - 1));
        low = poisoned ? 0.0f : -half;
        high = poisoned ? 0.0f : half - 1.0f;
    }
    /// A position among the codes, saturating. What is clamped before it is rounded is small enough
    /// for rounding.cuh, and the bounds are integral, so that the order makes no difference. A
    /// poisoned group's positions are 0 or NaN, as its scale is.
    OPFORGE_DEVICE float saturate(float v) const {
        return Parameters::kMayBeFarBelow ? clamp(v, low, high) : fminf(v, high);
    }
};

/// A group's factor from values to codes, and its reciprocal. Where the factor is infinite (a range
/// below 2^-120), it takes zero to zero and all else beyond every bound. Element: of the values.
template <class Element>
class CodeScale {
public:
    /// levels / width, or 1 where that is 0. `levels`: a power of two.
    OPFORGE_DEVICE CodeScale(float levels, float width) {
        // Times a power of two, a reciprocal is as exact as a quotient.
        if (Element::kScalesAreFinite || (width >= 0x1p-100f && width <= 0x1p100f)) {
            scale_ = width == 0.0f ? 1.0f : levels * reciprocal(width);
            step_ = reciprocal(scale_);
        } else {
            scale_ = width == 0.0f ? 1.0f : levels / width;
            step_ = 1.0f / scale_;
        }
    }

    /// Of values that are centred. `most`: the largest code.
    OPFORGE_DEVICE void apply(float (&values)[8], float most) const {
        const bool infinite = !Element::kScalesAreFinite && scale_ > 3.402823466e+38f;
        const float factor = infinite ? 0x1p30f : scale_;
        if (infinite) {
            // The least magnitude, 2^-149, becomes 2^-23, which is 128 once scaled.
            const float least = (-1.0f - most) * 0x1p-30f;
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                values[i] = fmaxf(values[i] * 0x1p126f, least);
            }
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            values[i] *= factor;
        }
    }
    /// That of another lane of the warp, which all lanes ask for, but for the step.
    OPFORGE_DEVICE CodeScale of_lane(u32 lane) const {
        CodeScale other = *this;
        other.scale_ = __shfl_sync(kFullWarp, scale_, static_cast<int>(lane));
        return other;
    }
    /// 1 / scale.
    OPFORGE_DEVICE float step() const {
        return step_;
    }

private:
    float scale_;
    float step_;
};

/// A poisoned group has a NaN step, which makes every decoded value NaN. Element: the format of the
/// values.
///   kMayBeFarBelow  whether a position may be below the lowest code by more than rounding errors,
///                   which are far less than half a code
///   of_lane         what locate() needs, of another lane of the warp, which all lanes ask for
template <class Element>
struct SymmetricParameters {
    using Range = MagnitudeRange<Element>;
    static constexpr int kRecord = 1;
    static constexpr bool kMayBeFarBelow = false;
    CodeScale<Element> scale;
    float step;
    bool poisoned;

    OPFORGE_DEVICE SymmetricParameters(const Range& range, float levels)
        : SymmetricParameters(2.0f * range.magnitude(), levels, true) {}
    /// Of values, their positions among the codes, of which `most` is the largest.
    OPFORGE_DEVICE void locate(float (&values)[8], float most) const { scale.apply(values, most); }
    OPFORGE_DEVICE SymmetricParameters of_lane(u32 lane) const {
        SymmetricParameters other = *this;
        other.scale = scale.of_lane(lane);
        return other;
    }
    OPFORGE_DEVICE float decode(float code) const { return code * step; }
    OPFORGE_DEVICE void store(float* record) const { record[0] = step; }

private:
    OPFORGE_DEVICE SymmetricParameters(float twice, float levels, bool)
        : scale(levels, twice), poisoned(!is_finite(twice)) {
        step = poisoned ? quiet_nan() : scale.step();
    }
};

template <class Element>
struct AsymmetricParameters {
    using Range = ExtremaRange<Element>;
    static constexpr int kRecord = 2;
    // Of fp32 the center is rounded by up to half a range: hi and lo that are neighbours have none
    // between them. The sum of two shorter numbers is exact, or all but the larger of them.
    static constexpr bool kMayBeFarBelow = Element::kPerWord == 1;
    CodeScale<Element> scale;
    float step;
    float offset;
    bool poisoned;

    OPFORGE_DEVICE AsymmetricParameters(const Range& range, float levels)
        : AsymmetricParameters(range.lowest(), range.highest(), levels) {}
    OPFORGE_DEVICE void locate(float (&values)[8], float most) const {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            values[i] -= offset;
        }
        scale.apply(values, most);
    }
    OPFORGE_DEVICE AsymmetricParameters of_lane(u32 lane) const {
        AsymmetricParameters other = *this;
        other.scale = scale.of_lane(lane);
        other.offset = __shfl_sync(kFullWarp, offset, static_cast<int>(lane));
        return other;
    }
    OPFORGE_DEVICE float decode(float code) const {
        return __fmaf_rn(code, step, offset);
    }
    OPFORGE_DEVICE void store(float* record) const {
        record[0] = step;
        record[1] = offset;
    }

private:
    OPFORGE_DEVICE AsymmetricParameters(float low, float high, float levels)
        : scale(levels, high - low) {
        const float sum = high + low;
        poisoned = !is_finite(high - low) || !is_finite(sum);
        step = poisoned ? quiet_nan() : scale.step();
        offset = poisoned ? quiet_nan() : sum * 0.5f;
    }
};

/// A record as a reader of codes needs it.
///   for_sum      of values of format Element, that begins as +0: there a zero's sign does not show
///   decode_tiny  of what unpack_tiny gives, by a record for a sum
struct SymmetricRecord {
    static constexpr int kFloats = 1;
    float step;
    SymmetricRecord() = default;
    OPFORGE_DEVICE SymmetricRecord(const float* records, i64 group) : step(records[group]) {}
    OPFORGE_DEVICE float decode(float code) const { return code * step; }

    template <class Element>
    OPFORGE_DEVICE SymmetricRecord for_sum() const {
        SymmetricRecord record = *this;
        if (Element::kScalesAreFinite) {
            // Such a step makes infinities of fp16 of all codes but 0, and so does 2^90, which
            // times 2^24 is finite.
            const float size = fabsf(step);
            const bool is_far = static_cast<bool>((size >= 0x1p96f) & is_finite(size));
            record.step = is_far ? copysignf(0x1p90f, step) : step;
        }
        return record;
    }
    template <class Element, u32 kBits>
    OPFORGE_DEVICE void decode_tiny(float (&code)[8]) const {
        constexpr float kHalf = static_cast<float>(1u << (kBits - 1));
        if (Element::kScalesAreFinite) {
            // (u - half) * step, rounded once as code * step is: powers of two are exact. An
            // infinite step makes NaN where code * step has infinities too: both poison the group.
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                code[i] = __fmaf_rn(code[i], step * tiny_unit<kBits>(i), -kHalf * step);
            }
        } else {
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                code[i] = decode(__fmaf_rn(code[i], tiny_unit<kBits>(i), -kHalf));
            }
        }
    }
};
struct AsymmetricRecord {
    static constexpr int kFloats = 2;
    float step;
    float offset;
    AsymmetricRecord() = default;
    OPFORGE_DEVICE AsymmetricRecord(const float* records, i64 group)
        : step(records[2 * group]), offset(records[2 * group + 1]) {}
    OPFORGE_DEVICE float decode(float code) const { return __fmaf_rn(code, step, offset); }

    template <class Element>
    OPFORGE_DEVICE AsymmetricRecord for_sum() const {
        return *this;
    }
    template <class Element, u32 kBits>
    OPFORGE_DEVICE void decode_tiny(float (&code)[8]) const {
        constexpr float kHalf = static_cast<float>(1u << (kBits - 1));
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            code[i] = decode(__fmaf_rn(code[i], tiny_unit<kBits>(i), -kHalf));
        }
    }
};

}  // namespace opforge
