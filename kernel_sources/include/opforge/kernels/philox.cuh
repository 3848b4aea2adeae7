// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011), addressed by element: element i of a call has index j = offset + i, its number is word j
// mod 4 of counter j / 4 (contract, 1.1).
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

struct PhiloxWords {
    u32 word[4];
};

OPFORGE_DEVICE PhiloxWords philox(u64 seed, u64 counter) {
    u32 key0 = static_cast<u32>(seed);
    u32 key1 = static_cast<u32>(seed >> 32);
    u32 c0 = static_cast<u32>(counter);
    u32 c1 = static_cast<u32>(counter >> 32);
    u32 c2 = 0;
    u32 c3 = 0;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const u64 product0 = static_cast<u64>(0xD2511F53u) * c0;
        const u64 product1 = static_cast<u64>(0xCD9E8D57u) * c2;
        c0 = static_cast<u32>(product1 >> 32) ^ c1 ^ key0;
        c1 = static_cast<u32>(product1);
        c2 = static_cast<u32>(product0 >> 32) ^ c3 ^ key1;
        c3 = static_cast<u32>(product0);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

/// Uniform in [0, 1): the word's upper 24 bits, exact in float.
OPFORGE_DEVICE float unit_interval(u32 word) {
    return static_cast<float>(word >> 8) * 0x1p-24f;
}

/// The numbers of indices j to j + kCount - 1. kCount is a multiple of four; j may be any: where it
/// is no multiple of four, which is rare, one counter more is drawn. The words then move into place
/// with constant indices (registers, not memory), and one body draws them all: Philox inlined for
/// each counter once more would be most of a kernel's compile.
template <int kCount>
OPFORGE_DEVICE void random_units(u64 seed, u64 j, float (&units)[kCount]) {
    constexpr u64 kCounters = ~0ull >> 2;  // indices wrap at 2^64, so counters wrap at 2^62
    const u32 phase = static_cast<u32>(j) & 3u;
    u64 counter = j >> 2;
    if (phase == 0) {
#pragma unroll
        for (int k = 0; k < kCount; k += 4) {
            const PhiloxWords drawn = philox(seed, (counter + k / 4) & kCounters);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                units[k + i] = unit_interval(drawn.word[i]);
            }
        }
        return;
    }
    u32 words[kCount + 4] = {};
#pragma unroll 1
    for (int draw = 0; draw < kCount / 4 + 1; ++draw) {
        const PhiloxWords drawn = philox(seed, counter);
        counter = (counter + 1) & kCounters;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            words[i] = words[i + 4];
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            words[kCount + i] = drawn.word[i];
        }
    }
    const auto skip = [&](u32 by) {
#pragma unroll
        for (u32 i = 0; i + by < kCount + 4; ++i) {
            words[i] = words[i + by];
        }
    };
    if ((phase & 1u) != 0) {
        skip(1);
    }
    if ((phase & 2u) != 0) {
        skip(2);
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
        units[i] = unit_interval(words[i]);
    }
}

}  // namespace opforge
