// Codes of 8, 4 or 2 bits as bytes: a most-significant-bit-first stream (contract, 1.1). The width
// is the same for the whole launch, so that branches on it cost nothing. Bytes move in and out of
// words by permutation, and integers become floats by way of the bits of 2^23: conversion
// instructions run at a quarter of the rate.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

/// A few codes' bytes, the first in the lowest bits of `low`.
struct PackedCodes {
    u32 low;
    u32 high;  // of eight codes of 8 bits
};

/// The integers `first` and `second` as the lowest codes, `first` in the lower bits, saturating at
/// 0 and at the largest code; those of `above` follow.
template <u32 kBits>
OPFORGE_DEVICE u32 saturate_below(u32 above, u32 first, u32 second) {
    u32 packed;
    if constexpr (kBits == 8) {
        asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;"
            : "=r"(packed)
            : "r"(second), "r"(first), "r"(above));
    } else if constexpr (kBits == 4) {
        asm("cvt.pack.sat.u4.s32.b32 %0, %1, %2, %3;"
            : "=r"(packed)
            : "r"(second), "r"(first), "r"(above));
    } else {
        asm("cvt.pack.sat.u2.s32.b32 %0, %1, %2, %3;"
            : "=r"(packed)
            : "r"(second), "r"(first), "r"(above));
    }
    return packed;
}

/// A width as template argument that says: that of the launch, whichever it is.
constexpr u32 kAnyBits = 0;

/// Eight positions among the codes of a group, as codes: rounded to nearest, ties to even, and
/// saturating. Of a poisoned group: 0, whatever the positions are, NaN too.
class CodePacker {
public:
    OPFORGE_DEVICE CodePacker(u32 bits, bool poisoned)
        : bits_(bits), keep_(poisoned ? 0u : 0xffffffffu) {
        asm("" : "+r"(keep_));  // one instruction less an octet than a choice
    }
    /// That of another lane of the warp, which all lanes ask for.
    OPFORGE_DEVICE CodePacker of_lane(u32 lane) const {
        CodePacker other = *this;
        other.keep_ = __shfl_sync(0xffffffffu, keep_, static_cast<int>(lane));
        return other;
    }
    template <u32 kBits>
    OPFORGE_DEVICE PackedCodes pack(const float (&position)[8]) const {
        if constexpr (kBits == kAnyBits) {
            return bits_ == 8   ? pack<8>(position)
                   : bits_ == 4 ? pack<4>(position)
                                : pack<2>(position);
        } else {
            u32 code[8];
            round<kBits>(position, code);
            return {word<kBits>(code) & keep_, kBits == 8 ? word<kBits>(code + 4) & keep_ : 0};
        }
    }

private:
    /// As integers, with half the range added, so that no code is negative.
    template <u32 kBits>
    static OPFORGE_DEVICE void round(const float (&position)[8], u32 (&code)[8]) {
        // Times 2^-149, the least subnormal number, a position is rounded as it should be, and its
        // bits are an integer. What is beyond the subnormal numbers, or negative, is so as an
        // integer, too.
        const float half = __uint_as_float(1u << (kBits - 1));
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            code[i] = __float_as_uint(__fmaf_rn(position[i], 0x1p-149f, half));
        }
    }
    /// Four codes of 8 bits, or eight, the first of each byte in its upper bits. One bit flipped,
    /// codes are two's complement numbers.
    template <u32 kBits>
    static OPFORGE_DEVICE u32 word(const u32* code) {
        u32 all = 0;
        if constexpr (kBits == 8) {
            all = saturate_below<8>(saturate_below<8>(all, code[2], code[3]), code[0], code[1]);
            return all ^ 0x80808080u;
        } else if constexpr (kBits == 4) {
#pragma unroll
            for (int i = 6; i >= 0; i -= 2) {
                all = saturate_below<4>(all, code[i + 1], code[i]);
            }
            return all ^ 0x88888888u;
        } else {
#pragma unroll
            for (int i = 4; i >= 0; i -= 4) {
                all = saturate_below<2>(all, code[i + 1], code[i]);
                all = saturate_below<2>(all, code[i + 3], code[i + 2]);
            }
            return all ^ 0xaaaau;
        }
    }
    u32 bits_;
    u32 keep_;
};

/// Of eight codes. `aligned`: all eight are there, at a boundary of their own size.
OPFORGE_DEVICE void store_codes(unsigned char* to, PackedCodes packed, u32 bits, u32 count,
                                bool aligned) {
    if (aligned) {
        if (bits == 8) {
            *reinterpret_cast<uint2*>(to) = make_uint2(packed.low, packed.high);
        } else if (bits == 4) {
            *reinterpret_cast<u32*>(to) = packed.low;
        } else {
            *reinterpret_cast<u16*>(to) = static_cast<u16>(packed.low);
        }
    } else {
        const u32 bytes = count * bits / 8;
#pragma unroll 1
        for (u32 i = 0; i < bytes; ++i) {
            to[i] = static_cast<unsigned char>(packed.low);
            packed.low = __funnelshift_r(packed.low, packed.high, 8);
            packed.high >>= 8;
        }
    }
}

/// Of kOctets octets, one behind the other: 1, 2 or 4. All codes are there, at a boundary of the
/// run's size, or of 16 bytes where that is less.
template <int kOctets>
OPFORGE_DEVICE void store_run(unsigned char* to, const PackedCodes (&packed)[kOctets], u32 bits) {
    if constexpr (kOctets == 1) {
        store_codes(to, packed[0], bits, 8, true);
    } else if (bits == 8) {
#pragma unroll
        for (int i = 0; i < kOctets; i += 2) {
            reinterpret_cast<uint4*>(to)[i / 2] =
                make_uint4(packed[i].low, packed[i].high, packed[i + 1].low, packed[i + 1].high);
        }
    } else if (bits == 4) {
        if constexpr (kOctets == 4) {
            *reinterpret_cast<uint4*>(to) =
                make_uint4(packed[0].low, packed[1].low, packed[2].low, packed[3].low);
        } else {
            *reinterpret_cast<uint2*>(to) = make_uint2(packed[0].low, packed[1].low);
        }
    } else {
#pragma unroll
        for (int i = 0; i < kOctets; i += 2) {
            reinterpret_cast<u32*>(to)[i / 2] = packed[i].low | packed[i + 1].low << 16;
        }
    }
}

/// Of kCount codes, 8 or 4, which fill whole bytes at every width. What is behind `count` is zero.
template <int kCount>
OPFORGE_DEVICE PackedCodes load_codes(const unsigned char* from, u32 bits, u32 count,
                                      bool aligned) {
    PackedCodes packed{0, 0};
    if (aligned) {
        const u32 bytes = kCount * bits / 8;
        if (bytes == 8) {
            const uint2 both = *reinterpret_cast<const uint2*>(from);
            packed = {both.x, both.y};
        } else if (bytes == 4) {
            packed.low = *reinterpret_cast<const u32*>(from);
        } else if (bytes == 2) {
            packed.low = *reinterpret_cast<const u16*>(from);
        } else {
            packed.low = *from;
        }
    } else {
        const u32 bytes = count * bits / 8;
#pragma unroll 1
        for (u32 i = 0; i < 8; ++i) {
            packed.low = __funnelshift_r(packed.low, packed.high, 8);
            packed.high = packed.high >> 8 | (i < bytes ? static_cast<u32>(from[i]) << 24 : 0u);
        }
    }
    return packed;
}

/// Each code in a byte of its own, the first four in `low`; the bits above a code are zero.
OPFORGE_DEVICE PackedCodes spread(PackedCodes packed, u32 bits) {
    if (bits == 8) {
        return packed;
    }
    if (bits == 4) {
        const u32 even = packed.low >> 4 & 0x0f0f0f0fu;
        const u32 odd = packed.low & 0x0f0f0f0fu;
        return {__byte_perm(even, odd, 0x5140), __byte_perm(even, odd, 0x7362)};
    }
    u32 first = packed.low;
    u32 second = packed.low >> 8;
    first = (first >> 6 & 0x3u) | (first << 4 & 0x300u) | (first << 14 & 0x30000u) |
            (first << 24 & 0x3000000u);
    second = (second >> 6 & 0x3u) | (second << 4 & 0x300u) | (second << 14 & 0x30000u) |
             (second << 24 & 0x3000000u);
    return {first, second};
}

/// Byte `i` of a word as a float, less `bias`.
OPFORGE_DEVICE float byte_value(u32 word, int i, float bias) {
    return __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440u + static_cast<u32>(i))) -
           (8388608.0f + bias);
}

/// Signed codes as floats.
template <int kCount>
OPFORGE_DEVICE void unpack(PackedCodes packed, u32 bits, float (&code)[kCount]) {
    // With its sign bit flipped, a code is its value plus half the range.
    const u32 half = 1u << (bits - 1);
    const PackedCodes bytes = spread(packed, bits);
    const u32 flip = half * 0x01010101u;
    const float bias = static_cast<float>(half);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
        code[i] = byte_value((i < 4 ? bytes.low : bytes.high) ^ flip, i % 4, bias);
    }
}

/// (a & mask) ^ flip as one instruction; the compiler makes two of it where both are constants.
OPFORGE_DEVICE u32 mask_and_flip(u32 a, u32 mask, u32 flip) {
    u32 result;
    asm("lop3.b32 %0, %1, %2, %3, 0x6a;" : "=r"(result) : "r"(a), "r"(mask), "r"(flip));
    return result;
}

/// What a code of TinyCodes has to be multiplied with.
template <u32 kBits>
constexpr OPFORGE_DEVICE float tiny_unit(int i) {
    return kBits == 4 && i % 2 == 0 ? 0x1p20f : 0x1p24f;
}

/// Eight codes of 8 or 4 bits, plus half their range, times what is left of them as bits of
/// subnormal fp16 numbers: see tiny_unit. Two codes a word, with no shift but one, and no bias to
/// subtract: a fused multiply-add that follows does it, exactly.
template <u32 kBits>
OPFORGE_DEVICE void unpack_tiny(PackedCodes packed, float (&code)[8]) {
    static_assert(kBits == 8 || kBits == 4, "widths of a reduction");
    const auto widen = [&](u32 halves, int first, int second) {
        asm("{ .reg .b16 a, b; mov.b32 {a, b}, %2; cvt.f32.f16 %0, a; cvt.f32.f16 %1, b; }"
            : "=f"(code[first]), "=f"(code[second])
            : "r"(halves));
    };
    if (kBits == 8) {
#pragma unroll
        for (int i = 0; i < 8; i += 4) {
            const u32 four = (i == 0 ? packed.low : packed.high) ^ 0x80808080u;
            widen(__byte_perm(four, 0, 0x4140), i, i + 1);
            widen(__byte_perm(four, 0, 0x4342), i + 2, i + 3);
        }
    } else {
        // The first code of each byte is in its upper half.
#pragma unroll
        for (int i = 0; i < 4; i += 2) {
            const u32 word = i == 0 ? packed.low : packed.low >> 8;
            widen(mask_and_flip(word, 0x00f000f0u, 0x00800080u), i, i + 4);
            widen(mask_and_flip(word, 0x000f000fu, 0x00080008u), i + 1, i + 5);
        }
    }
}

/// Unsigned codes of 8 or 4 bits as floats.
OPFORGE_DEVICE void unpack_unsigned(PackedCodes packed, u32 bits, float (&code)[8]) {
    const PackedCodes bytes = spread(packed, bits);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        code[i] = byte_value(i < 4 ? bytes.low : bytes.high, i % 4, 0.0f);
    }
}

}  // namespace opforge
