// The storage formats of a tensor's elements: fp16, bf16, fp32. `Raw` is the bit pattern of one;
// memory moves in 32-bit words of kPerWord elements, the first in the lowest bits. Arithmetic is in
// float. Widening is exact; narrowing rounds to nearest, ties to even, and keeps subnormals.
// kScalesAreFinite: whether 256 over the difference of any two values is finite in float.
// add_word: place by place, each sum rounded to the format. (Adding in float and then rounding
// gives the same: float has more than twice the formats' digits plus two.)
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

struct Fp16 {
    using Raw = u16;
    static constexpr int kPerWord = 2;
    static constexpr u32 kSign = 0x8000u;
    static constexpr u32 kAll = 0xffffu;
    static constexpr u32 kInfinity = 0x7c00u;
    static constexpr bool kScalesAreFinite = true;

    static OPFORGE_DEVICE float widen(u32 raw) {
        float value;
        asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<u16>(raw)));
        return value;
    }
    static OPFORGE_DEVICE Raw narrow(float value) {
        u16 raw;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(raw) : "f"(value));
        return raw;
    }
    static OPFORGE_DEVICE void widen_word(u32 word, float (&values)[2]) {
        values[0] = widen(word & 0xffffu);
        values[1] = widen(word >> 16);
    }
    static OPFORGE_DEVICE u32 narrow_word(const float (&values)[2]) {
#if __CUDA_ARCH__ >= 800
        u32 word;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(values[1]), "f"(values[0]));
        return word;
#else
        return narrow(values[0]) | static_cast<u32>(narrow(values[1])) << 16;
#endif
    }
    static OPFORGE_DEVICE u32 add_word(u32 a, u32 b) {
        u32 sum;
        asm("add.rn.f16x2 %0, %1, %2;" : "=r"(sum) : "r"(a), "r"(b));
        return sum;
    }
};

struct Bf16 {
    using Raw = u16;
    static constexpr int kPerWord = 2;
    static constexpr u32 kSign = 0x8000u;
    static constexpr u32 kAll = 0xffffu;
    static constexpr u32 kInfinity = 0x7f80u;
    static constexpr bool kScalesAreFinite = false;

    static OPFORGE_DEVICE float widen(u32 raw) { return __uint_as_float(raw << 16); }
    static OPFORGE_DEVICE Raw narrow(float value) {
#if __CUDA_ARCH__ >= 800
        u16 raw;
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(raw) : "f"(value));
        return raw;
#else
        // No such instruction before sm_80. Adding 0x7fff plus the kept part's last bit rounds ties
        // to even; a NaN is kept apart, since the addition could carry its payload into the
        // exponent and make an infinity of it.
        const u32 bits = __float_as_uint(value);
        if ((bits & 0x7fffffffu) > 0x7f800000u) {
            return 0x7fffu;
        }
        return static_cast<u16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#endif
    }
    static OPFORGE_DEVICE void widen_word(u32 word, float (&values)[2]) {
        values[0] = __uint_as_float(word << 16);
        values[1] = __uint_as_float(word & 0xffff0000u);
    }
    static OPFORGE_DEVICE u32 narrow_word(const float (&values)[2]) {
#if __CUDA_ARCH__ >= 800
        u32 word;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(values[1]), "f"(values[0]));
        return word;
#else
        return narrow(values[0]) | static_cast<u32>(narrow(values[1])) << 16;
#endif
    }
    static OPFORGE_DEVICE u32 add_word(u32 a, u32 b) {
#if __CUDA_ARCH__ >= 800
        constexpr u32 kOnes = 0x3f803f80u;  // a plain addition of bf16 came with sm_90
        u32 sum;
        asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(kOnes), "r"(b));
        return sum;
#else
        float first[2];
        float second[2];
        widen_word(a, first);
        widen_word(b, second);
        const float sums[2] = {first[0] + second[0], first[1] + second[1]};
        return narrow_word(sums);
#endif
    }
};

struct Fp32 {
    using Raw = u32;
    static constexpr int kPerWord = 1;
    static constexpr u32 kSign = 0x80000000u;
    static constexpr u32 kAll = 0xffffffffu;
    static constexpr u32 kInfinity = 0x7f800000u;
    static constexpr bool kScalesAreFinite = false;

    static OPFORGE_DEVICE float widen(u32 raw) { return __uint_as_float(raw); }
    static OPFORGE_DEVICE Raw narrow(float value) { return __float_as_uint(value); }
    static OPFORGE_DEVICE void widen_word(u32 word, float (&values)[1]) {
        values[0] = __uint_as_float(word);
    }
    static OPFORGE_DEVICE u32 narrow_word(const float (&values)[1]) {
        return __float_as_uint(values[0]);
    }
    static OPFORGE_DEVICE u32 add_word(u32 a, u32 b) {
        return __float_as_uint(__uint_as_float(a) + __uint_as_float(b));
    }
};

}  // namespace opforge
