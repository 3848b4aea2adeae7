// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011), addressed by element: element i of a call has index j = offset + i, its number is word j
// mod 4 of counter j / 4 (contract, 1.1).
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

struct PhiloxWords {
    u32 word[4];
};

struct WideProduct {
    u32 low;
    u32 high;
};

/// As an instruction: shifting a 64-bit product right by 32 leaves an addition of zero behind each
/// of a draw's twenty products (seen with CUDA 13.0).
OPFORGE_DEVICE WideProduct multiply_wide(u32 a, u32 b) {
    WideProduct product;
    asm("{ .reg .u64 p; mul.wide.u32 p, %2, %3; mov.b64 {%0, %1}, p; }"
        : "=r"(product.low), "=r"(product.high)
        : "r"(a), "r"(b));
    return product;
}

constexpr u32 kPhiloxFirst = 0xD2511F53u;
constexpr u32 kPhiloxSecond = 0xCD9E8D57u;

/// `keys` gives each round's two words.
template <class Keys>
OPFORGE_DEVICE PhiloxWords philox(Keys keys, u64 counter) {
    u32 c0 = static_cast<u32>(counter);
    u32 c1 = static_cast<u32>(counter >> 32);
    u32 c2 = 0;
    u32 c3 = 0;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const WideProduct product0 = multiply_wide(kPhiloxFirst, c0);
        const WideProduct product1 = multiply_wide(kPhiloxSecond, c2);
        c0 = product1.high ^ c1 ^ keys.first(round);
        c1 = product1.low;
        c2 = product0.high ^ c3 ^ keys.second(round);
        c3 = product0.low;
    }
    return {{c0, c1, c2, c3}};
}

constexpr u64 kPhiloxCounters = ~0ull >> 2;  // indices wrap at 2^64, so counters wrap at 2^62

/// A number uniform in [0, 1), times 2^-125: the word's upper 24 bits are the bits of that float,
/// with no conversion (up to 2^24, a float's bits count the least subnormal number).
OPFORGE_DEVICE float draw_of(u32 word) {
    return __uint_as_float(word >> 8);
}

/// The numbers of a run of elements, whose first index is a multiple of four, of a launch that is
/// scheduled (random_arguments.cuh). The keys are operands, which cost nothing, where computing
/// them costs more than a tenth of the draw; and two of the first rounds' four products are zero or
/// in the keys.
class ScheduledDraws {
public:
    /// `j`: index of the run's first element.
    OPFORGE_DEVICE ScheduledDraws(const u32 (&keys)[20], u64 j)
        : keys_(keys), counter_(static_cast<u32>(j >> 2)) {}

    /// By elements, a multiple of four.
    OPFORGE_DEVICE void advance(u32 elements) { counter_ += elements / 4; }

    /// Of the next kCount elements, a multiple of four.
    template <int kCount>
    OPFORGE_DEVICE void draw(float (&draws)[kCount]) const {
#pragma unroll
        for (int k = 0; k < kCount; k += 4) {
            const PhiloxWords drawn = words(counter_ + static_cast<u32>(k / 4));
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                draws[k + i] = draw_of(drawn.word[i]);
            }
        }
    }

private:
    OPFORGE_DEVICE PhiloxWords words(u32 counter) const {
        WideProduct product0 = multiply_wide(kPhiloxFirst, counter);
        u32 c2 = product0.high ^ keys_[1];
        WideProduct product1 = multiply_wide(kPhiloxSecond, c2);
        u32 c0 = product1.high ^ keys_[2];
        u32 c1 = product1.low;
        c2 = product0.low ^ keys_[3];
        u32 c3 = 0;
#pragma unroll
        for (int round = 2; round < 10; ++round) {
            product0 = multiply_wide(kPhiloxFirst, c0);
            product1 = multiply_wide(kPhiloxSecond, c2);
            c0 = product1.high ^ c1 ^ keys_[2 * round];
            c1 = product1.low;
            c2 = product0.high ^ c3 ^ keys_[2 * round + 1];
            c3 = product0.low;
        }
        return {{c0, c1, c2, c3}};
    }
    const u32 (&keys_)[20];
    u32 counter_;
};

/// The same of any run and any seed. Where the first index is no multiple of four, one counter more
/// is drawn: the words then move into place with constant indices (registers, not memory). One body
/// draws them all, since Philox inlined for each counter would be most of a kernel's compile.
class AnyDraws {
public:
    OPFORGE_DEVICE AnyDraws(u64 seed, u64 j)
        : keys_{static_cast<u32>(seed), static_cast<u32>(seed >> 32)}, counter_(j >> 2),
          phase_(static_cast<u32>(j) & 3u) {}

    OPFORGE_DEVICE void advance(u32 elements) { counter_ += elements / 4; }

    template <int kCount>
    OPFORGE_DEVICE void draw(float (&draws)[kCount]) const {
        u32 words[kCount + 4] = {};
        u64 counter = counter_;
#pragma unroll 1
        for (int draw = 0; draw < kCount / 4 + 1; ++draw, ++counter) {
            // Opaque, so that no register holds the other rounds' keys for the whole kernel.
            Keys keys = keys_;
            asm volatile("" : "+r"(keys.low), "+r"(keys.high));
            const PhiloxWords drawn = philox(keys, counter & kPhiloxCounters);
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
        if ((phase_ & 1u) != 0) {
            skip(1);
        }
        if ((phase_ & 2u) != 0) {
            skip(2);
        }
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            draws[i] = draw_of(words[i]);
        }
    }

private:
    struct Keys {
        u32 low;
        u32 high;
        OPFORGE_DEVICE u32 first(int round) const {
            return low + static_cast<u32>(round) * 0x9E3779B9u;
        }
        OPFORGE_DEVICE u32 second(int round) const {
            return high + static_cast<u32>(round) * 0xBB67AE85u;
        }
    };
    Keys keys_;
    u64 counter_;
    u32 phase_;
};

}  // namespace opforge
