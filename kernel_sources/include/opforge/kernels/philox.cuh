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

/// The number of index j.
OPFORGE_DEVICE float random_unit(u64 seed, u64 j) {
    const PhiloxWords words = philox(seed, j >> 2);
    const u32 low = (j & 1) != 0 ? words.word[1] : words.word[0];
    const u32 high = (j & 1) != 0 ? words.word[3] : words.word[2];
    return unit_interval((j & 2) != 0 ? high : low);
}

/// The numbers of indices j to j + kCount - 1. kCount is a multiple of four; j may be any: where it
/// is no multiple of four, one counter more is drawn and the words are shifted into place with
/// constant indices (registers, not memory).
template <int kCount>
OPFORGE_DEVICE void random_units(u64 seed, u64 j, float (&units)[kCount]) {
    constexpr u64 kCounters = ~0ull >> 2;  // indices wrap at 2^64, so counters wrap at 2^62
    const u32 phase = static_cast<u32>(j) & 3u;
    u64 counter = j >> 2;
    PhiloxWords current = philox(seed, counter);
#pragma unroll
    for (int k = 0; k < kCount; k += 4) {
        PhiloxWords next = current;
        if (phase != 0 || k + 4 < kCount) {
            counter = (counter + 1) & kCounters;
            next = philox(seed, counter);
        }
        u32 words[8];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            words[i] = current.word[i];
            words[i + 4] = next.word[i];
        }
        if ((phase & 1u) != 0) {
#pragma unroll
            for (int i = 0; i < 7; ++i) {
                words[i] = words[i + 1];
            }
        }
        if ((phase & 2u) != 0) {
#pragma unroll
            for (int i = 0; i < 5; ++i) {
                words[i] = words[i + 2];
            }
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            units[k + i] = unit_interval(words[i]);
        }
        current = next;
    }
}

}  // namespace opforge
