// What fake quantization makes of an element once its group's range is known: contract,
// sections 1.1 and 3. Of the program's format, type and rounding (program.cuh, fake_quantize.cu).
#pragma once

#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/fake_quantize_arguments.cuh"
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/range.cuh"
#include "opforge/kernels/rounding.cuh"
#include "opforge/kernels/types.cuh"
#include "opforge/kernels/word_order.cuh"

namespace opforge {

using kernels::FakeQuantizeArguments;

using Element = ProgramElement;
using Raw = Element::Raw;
using Elements = Chunk<Element>;
constexpr int kCount = Elements::kCount;

constexpr bool kStochastic = OPFORGE_STOCHASTIC != 0;

#if OPFORGE_ASYMMETRIC
using Range = ExtremaRange<Element>;
#else
using Range = MagnitudeRange<Element>;
#endif

// The largest code's value caps whole words of decoded values, since decoding keeps their order;
// before sm_80 there is no such instruction, and codes are capped one by one.
constexpr bool kCaps = !OPFORGE_ASYMMETRIC || kStochastic;
#if __CUDA_ARCH__ >= 800
constexpr bool kCapsWords = kCaps;
#else
constexpr bool kCapsWords = false;
#endif

/// What turns an element of one group into its quantized self. A poisoned group has NaN factors:
/// every output is NaN.
struct GroupCodec {
#if OPFORGE_ASYMMETRIC
    float step;
    float inverse;
    float low;

    OPFORGE_DEVICE GroupCodec(const Range& range, const FakeQuantizeArguments& arguments) {
        low = range.lowest();
        const float width = range.highest() - low;
        // By a power of two: exact, as the division is.
        step = static_cast<float>((static_cast<double>(width) + 1e-5) *
                                  static_cast<double>(arguments.inverse_levels));
        inverse = 1.0f / step;
        if (!is_finite(width)) {
            step = quiet_nan();
        }
    }
    OPFORGE_DEVICE float position(float x) const {
        return (x - low) * inverse;
    }
    OPFORGE_DEVICE float nearest(float v) const {
        return round_half_up(v);
    }
    OPFORGE_DEVICE float stochastic(float v, float draw) const {
        return round_stochastic_up(v, draw);
    }
    OPFORGE_DEVICE float decode(float q) const {
        return __fmaf_rn(q, step, low);
    }
#else
    float scale;
    float inverse;

    OPFORGE_DEVICE GroupCodec(const Range& range, const FakeQuantizeArguments& arguments) {
        const float width = 2.0f * range.magnitude();
        // levels / (width + 1e-5): a power of two changes no digit of a reciprocal, which takes
        // half the code of a division, and the result is far from the ends of the range of double.
        scale = static_cast<float>(static_cast<double>(arguments.levels) *
                                   __drcp_rn(static_cast<double>(width) + 1e-5));
        inverse = 1.0f / scale;
        if (!is_finite(width)) {
            inverse = quiet_nan();
        }
    }
    OPFORGE_DEVICE float position(float x) const {
        return x * scale;
    }
    OPFORGE_DEVICE float nearest(float v) const {
        return round_half_even(v);
    }
    OPFORGE_DEVICE float stochastic(float v, float draw) const {
        return round_stochastic(v, draw);
    }
    OPFORGE_DEVICE float decode(float q) const {
        return q * inverse;
    }
#endif

    /// Positions are at least the smallest code: asymmetric, since none is below zero; symmetric,
    /// since a magnitude times `scale` exceeds half the levels by less than half a unit of the last
    /// place, and rounds to it. So only the largest code bounds them.
    OPFORGE_DEVICE float code(float x, float draw) const {
        return kStochastic ? stochastic(position(x), draw) : nearest(position(x));
    }
};

template <class Draws>
OPFORGE_DEVICE Elements apply_chunk(const Elements& in, const GroupCodec& codec,
                                    const Draws& random, const FakeQuantizeArguments& arguments) {
    constexpr int kEach = Element::kPerWord;
    float draws[kCount] = {};
    random.draw(draws);
    const float most = codec.decode(arguments.code_max);
    Elements out;
#pragma unroll
    for (int i = 0; i < Elements::kWords; ++i) {
        float values[kEach];
        Element::widen_word(in.word[i], values);
#pragma unroll
        for (int k = 0; k < kEach; ++k) {
            float code = codec.code(values[k], draws[i * kEach + k]);
            if (kCaps && !kCapsWords) {
                code = fminf(code, arguments.code_max);
            }
            values[k] = codec.decode(code);
        }
        out.word[i] = Element::narrow_word(values);
        if (kCapsWords) {
            out.word[i] =
                WordOrder<Element>::smaller(out.word[i], splat<Element>(Element::narrow(most)));
        }
    }
    return out;
}

}  // namespace opforge
