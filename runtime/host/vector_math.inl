// Rounding and random numbers of the host's inner loops, element by element. Rules: elements.inl.

#include "elements.inl"

namespace opforge::runtime::host {
namespace {

float round_half_even(float v) {
    constexpr float kShift = 12582912.0F;
    return (v + kShift) - kShift;
}
float round_down(float v) {
    const float q = round_half_even(v);
    return q - (q > v ? 1.0F : 0.0F);
}
float clamp(float q, float low, float high) {
    const float raised = q < low ? low : q;
    return raised > high ? high : raised;
}

/// The numbers of indices j to j + count - 1, count at most kChunk.
void random_units(const RandomState& random, u64 j, int count, float* units) {
    constexpr int kCounters = kChunk / 4 + 1;
    u32 words[4][kCounters];
    const int phase = static_cast<int>(j % 4);
    const int counters = (phase + count + 3) / 4;
    for (int i = 0; i < counters; ++i) {
        // Indices wrap at 2^64, so counters wrap at 2^62.
        const u64 counter = ((j >> 2U) + static_cast<u64>(i)) & (~u64{0} >> 2U);
        u32 c0 = static_cast<u32>(counter);
        u32 c1 = static_cast<u32>(counter >> 32U);
        u32 c2 = 0;
        u32 c3 = 0;
        u32 key0 = static_cast<u32>(random.seed);
        u32 key1 = static_cast<u32>(random.seed >> 32U);
        for (int round = 0; round < 10; ++round) {
            const u64 product0 = u64{0xD2511F53U} * c0;
            const u64 product1 = u64{0xCD9E8D57U} * c2;
            c0 = static_cast<u32>(product1 >> 32U) ^ c1 ^ key0;
            c1 = static_cast<u32>(product1);
            c2 = static_cast<u32>(product0 >> 32U) ^ c3 ^ key1;
            c3 = static_cast<u32>(product0);
            key0 += 0x9E3779B9U;
            key1 += 0xBB67AE85U;
        }
        words[0][i] = c0;
        words[1][i] = c1;
        words[2][i] = c2;
        words[3][i] = c3;
    }
    float all[kCounters * 4];
    for (int i = 0; i < counters; ++i) {
        for (int k = 0; k < 4; ++k) {
            all[4 * i + k] =
                static_cast<float>(static_cast<std::int32_t>(words[k][i] >> 8U)) * 0x1p-24F;
        }
    }
    __builtin_memcpy(units, all + phase, sizeof(float) * static_cast<u64>(count));
}

}  // namespace
}  // namespace opforge::runtime::host
