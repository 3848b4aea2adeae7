// Words of elements, compared place by place: the smaller and the larger of two, NaN where either
// is, -0 below +0; and the larger magnitude, under any sign.
#pragma once

#include "opforge/kernels/element.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// The same element in every place of a word.
template <class Element>
constexpr OPFORGE_DEVICE u32 splat(u32 raw) {
    return Element::kPerWord == 2 ? raw << 16 | raw : raw;
}

#if __CUDA_ARCH__ >= 800

// Takes magnitudes by itself from sm_86 on.
#if __CUDA_ARCH__ >= 860
#define OPFORGE_LARGER_MAGNITUDE "max.NaN.xorsign.abs."
constexpr u32 kIgnoredSigns = 0;
#else
#define OPFORGE_LARGER_MAGNITUDE "max.NaN."
constexpr u32 kIgnoredSigns = 0x80008000u;
#endif

template <class Element>
struct WordOrder;

#define OPFORGE_WORD_ORDER(Element, type)                                                          \
    template <>                                                                                    \
    struct WordOrder<Element> {                                                                    \
        static OPFORGE_DEVICE u32 smaller(u32 a, u32 b) {                                          \
            u32 result;                                                                            \
            asm("min.NaN." type " %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));                   \
            return result;                                                                         \
        }                                                                                          \
        static OPFORGE_DEVICE u32 larger(u32 a, u32 b) {                                           \
            u32 result;                                                                            \
            asm("max.NaN." type " %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));                   \
            return result;                                                                         \
        }                                                                                          \
        static OPFORGE_DEVICE u32 larger_magnitude(u32 a, u32 b) {                                 \
            u32 result;                                                                            \
            asm(OPFORGE_LARGER_MAGNITUDE type " %0, %1, %2;"                                       \
                : "=r"(result)                                                                     \
                : "r"(a & ~kIgnoredSigns), "r"(b & ~kIgnoredSigns));                               \
            return result;                                                                         \
        }                                                                                          \
    }
OPFORGE_WORD_ORDER(Fp16, "f16x2");
OPFORGE_WORD_ORDER(Bf16, "bf16x2");
#undef OPFORGE_WORD_ORDER

template <>
struct WordOrder<Fp32> {
    static OPFORGE_DEVICE u32 smaller(u32 a, u32 b) {
        float result;
        asm("min.NaN.f32 %0, %1, %2;"
            : "=f"(result)
            : "f"(__uint_as_float(a)), "f"(__uint_as_float(b)));
        return __float_as_uint(result);
    }
    static OPFORGE_DEVICE u32 larger(u32 a, u32 b) {
        float result;
        asm("max.NaN.f32 %0, %1, %2;"
            : "=f"(result)
            : "f"(__uint_as_float(a)), "f"(__uint_as_float(b)));
        return __float_as_uint(result);
    }
    static OPFORGE_DEVICE u32 larger_magnitude(u32 a, u32 b) {
        return larger(a & ~Fp32::kSign, b & ~Fp32::kSign);
    }
};
#undef OPFORGE_LARGER_MAGNITUDE

#else

// No instructions that pass NaN on before sm_80: integer keys that order like the values, a NaN
// above (or, negative, below) everything.
template <class Element>
struct WordOrder {
    static OPFORGE_DEVICE u32 key(u32 raw) {
        return raw ^ ((raw & Element::kSign) != 0 ? Element::kAll : Element::kSign);
    }
    static OPFORGE_DEVICE u32 choose(u32 a, u32 b, bool larger) {
        u32 result = 0;
#pragma unroll
        for (int i = 0; i < Element::kPerWord; ++i) {
            const u32 first = a >> (16 * i) & Element::kAll;
            const u32 second = b >> (16 * i) & Element::kAll;
            result |= ((key(first) > key(second)) == larger ? first : second) << (16 * i);
        }
        return result;
    }
    static OPFORGE_DEVICE u32 smaller(u32 a, u32 b) {
        return choose(a, b, false);
    }
    static OPFORGE_DEVICE u32 larger(u32 a, u32 b) {
        return choose(a, b, true);
    }
    static OPFORGE_DEVICE u32 larger_magnitude(u32 a, u32 b) {
        constexpr u32 kMagnitudes = ~splat<Element>(Element::kSign);
        return larger(a & kMagnitudes, b & kMagnitudes);
    }
};

#endif

}  // namespace opforge
