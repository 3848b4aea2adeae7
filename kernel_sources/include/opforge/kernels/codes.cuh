// Eight codes of 8, 4 or 2 bits as bytes: a most-significant-bit-first stream (contract, 1.1). The
// width is the same for the whole launch, so that branches on it cost nothing.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

/// The bytes of eight codes, the first in the lowest bits of `low`.
struct PackedCodes {
    u32 low;
    u32 high;  // 8 bits only
};

OPFORGE_DEVICE PackedCodes pack(const int (&code)[8], u32 bits) {
    PackedCodes packed{0, 0};
    if (bits == 8) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            packed.low |= (static_cast<u32>(code[i]) & 0xffu) << (8 * i);
            packed.high |= (static_cast<u32>(code[i + 4]) & 0xffu) << (8 * i);
        }
    } else if (bits == 4) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            packed.low |= (static_cast<u32>(code[i]) & 0xfu) << (8 * (i / 2) + 4 * (1 - i % 2));
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            packed.low |= (static_cast<u32>(code[i]) & 0x3u) << (8 * (i / 4) + 2 * (3 - i % 4));
        }
    }
    return packed;
}

/// `aligned`: all eight codes are there, at a boundary of their own size.
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
#pragma unroll
        for (u32 i = 0; i < 8; ++i) {
            if (i < bytes) {
                to[i] =
                    static_cast<unsigned char>((i < 4 ? packed.low : packed.high) >> (8 * (i % 4)));
            }
        }
    }
}

OPFORGE_DEVICE PackedCodes load_codes(const unsigned char* from, u32 bits, u32 count,
                                      bool aligned) {
    PackedCodes packed{0, 0};
    if (aligned) {
        if (bits == 8) {
            const uint2 both = *reinterpret_cast<const uint2*>(from);
            packed = {both.x, both.y};
        } else if (bits == 4) {
            packed.low = *reinterpret_cast<const u32*>(from);
        } else {
            packed.low = *reinterpret_cast<const u16*>(from);
        }
    } else {
        const u32 bytes = count * bits / 8;
#pragma unroll
        for (u32 i = 0; i < 8; ++i) {
            const u32 byte = i < bytes ? from[i] : 0;
            (i < 4 ? packed.low : packed.high) |= byte << (8 * (i % 4));
        }
    }
    return packed;
}

/// Signed codes as floats.
OPFORGE_DEVICE void unpack(PackedCodes packed, u32 bits, float (&code)[8]) {
    // Shifted to the top of a word, then down again: the sign comes with it.
    if (bits == 8) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const u32 word = i < 4 ? packed.low : packed.high;
            code[i] = static_cast<float>(static_cast<int>(word << (24 - 8 * (i % 4))) >> 24);
        }
    } else if (bits == 4) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const int place = 8 * (i / 2) + 4 * (1 - i % 2);
            code[i] = static_cast<float>(static_cast<int>(packed.low << (28 - place)) >> 28);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const int place = 8 * (i / 4) + 2 * (3 - i % 4);
            code[i] = static_cast<float>(static_cast<int>(packed.low << (30 - place)) >> 30);
        }
    }
}

/// Unsigned codes of 8 or 4 bits as floats.
OPFORGE_DEVICE void unpack_unsigned(PackedCodes packed, u32 bits, float (&code)[8]) {
    if (bits == 8) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            code[i] =
                static_cast<float>(((i < 4 ? packed.low : packed.high) >> (8 * (i % 4))) & 0xffu);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            code[i] = static_cast<float>((packed.low >> (8 * (i / 2) + 4 * (1 - i % 2))) & 0xfu);
        }
    }
}

}  // namespace opforge
