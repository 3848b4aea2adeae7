// The range of a group: largest magnitude, or smallest and largest value. A thread collects words
// of its own elements with the hardware's minimum and maximum, which take -0 to be below +0 and
// pass NaN on; what threads exchange are integer keys that order like the values, so that the
// result does not depend on the order of the reduction, and a NaN or an infinity beats every finite
// value: a poisoned group shows in the result (contract, 1.1).
#pragma once

#include "opforge/kernels/element.cuh"
#include "opforge/kernels/types.cuh"
#include "opforge/kernels/word_order.cuh"

namespace opforge {

constexpr u32 kFullWarp = 0xffffffffu;

/// The largest of a warp's 32 numbers.
OPFORGE_DEVICE u32 warp_max(u32 value) {
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(kFullWarp, value);
#else
    for (u32 mask = 16; mask > 0; mask /= 2) {
        const u32 other = __shfl_xor_sync(kFullWarp, value, mask);
        value = other > value ? other : value;
    }
    return value;
#endif
}

/// Largest magnitude. Of an empty set: +0.
template <class Element>
struct MagnitudeRange {
    static constexpr int kWords = 1;
    u32 high;  // no default initialiser: shared memory takes none

    static OPFORGE_DEVICE MagnitudeRange empty() { return {0}; }
    static OPFORGE_DEVICE MagnitudeRange zero() { return {0}; }
    OPFORGE_DEVICE void include(const MagnitudeRange& other) {
        high = other.high > high ? other.high : high;
    }
    OPFORGE_DEVICE MagnitudeRange shuffle_xor(u32 mask) const {
        return {__shfl_xor_sync(kFullWarp, high, mask)};
    }
    /// Over all 32 lanes.
    OPFORGE_DEVICE MagnitudeRange reduce_warp() const { return {warp_max(high)}; }
    OPFORGE_DEVICE float magnitude() const { return Element::widen(high); }
    /// As words that other blocks can read.
    static OPFORGE_DEVICE MagnitudeRange of_words(const u32 (&words)[1]) { return {words[0]}; }
    OPFORGE_DEVICE void to_words(u32 (&words)[1]) const { words[0] = high; }

    /// A thread's share.
    struct Collector {
        u32 most = 0;
        /// For words that may have been added up: ptxas 13.0 takes the larger magnitude of zero and
        /// of a sum for the sum where it is above zero, else zero. Of -0 it does not.
        static OPFORGE_DEVICE Collector of_sums() {
            Collector collector;
            collector.most = splat<Element>(Element::kSign);
            return collector;
        }
        OPFORGE_DEVICE void include_word(u32 word) {
            most = WordOrder<Element>::larger_magnitude(most, word);
        }
        OPFORGE_DEVICE MagnitudeRange range() const {
            constexpr u32 kMagnitude = Element::kAll ^ Element::kSign;
            if (Element::kPerWord == 1) {
                return {most & kMagnitude};
            }
            const u32 first = most & kMagnitude;
            const u32 second = most >> 16 & kMagnitude;
            return {first > second ? first : second};
        }
    };
};

/// Smallest and largest value, as keys that order like the values they stand for.
template <class Element>
struct ExtremaRange {
    static constexpr int kWords = 2;
    u32 low;
    u32 high;

    static OPFORGE_DEVICE ExtremaRange empty() { return {Element::kAll, 0}; }
    static OPFORGE_DEVICE ExtremaRange zero() { return {key(0), key(0)}; }
    static OPFORGE_DEVICE u32 key(u32 raw) {
        return raw ^ ((raw & Element::kSign) != 0 ? Element::kAll : Element::kSign);
    }
    static OPFORGE_DEVICE float value(u32 key) {
        return Element::widen(key ^ ((key & Element::kSign) != 0 ? Element::kSign : Element::kAll));
    }
    OPFORGE_DEVICE void include(const ExtremaRange& other) {
        low = other.low < low ? other.low : low;
        high = other.high > high ? other.high : high;
    }
    OPFORGE_DEVICE ExtremaRange shuffle_xor(u32 mask) const {
        return {__shfl_xor_sync(kFullWarp, low, mask), __shfl_xor_sync(kFullWarp, high, mask)};
    }
    static OPFORGE_DEVICE ExtremaRange of_words(const u32 (&words)[2]) {
        return {words[0], words[1]};
    }
    OPFORGE_DEVICE void to_words(u32 (&words)[2]) const {
        words[0] = low;
        words[1] = high;
    }
    OPFORGE_DEVICE ExtremaRange reduce_warp() const { return {~warp_max(~low), warp_max(high)}; }
    OPFORGE_DEVICE float lowest() const { return value(low); }
    OPFORGE_DEVICE float highest() const { return value(high); }

    /// A thread's share. Where it has none, infinities that every value beats.
    struct Collector {
        u32 least = splat<Element>(Element::kInfinity);
        u32 most = splat<Element>(Element::kInfinity | Element::kSign);
        static OPFORGE_DEVICE Collector of_sums() { return {}; }
        OPFORGE_DEVICE void include_word(u32 word) {
            least = WordOrder<Element>::smaller(least, word);
            most = WordOrder<Element>::larger(most, word);
        }
        OPFORGE_DEVICE ExtremaRange range() const {
            ExtremaRange result{key(least & Element::kAll), key(most & Element::kAll)};
            if (Element::kPerWord == 2) {
                result.include({key(least >> 16), key(most >> 16)});
            }
            return result;
        }
    };
};

/// The words of a Chunk or an Octet into a thread's share.
template <class Collector, class Words>
OPFORGE_DEVICE void include_words(Collector& collector, const Words& words) {
#pragma unroll
    for (int i = 0; i < Words::kWords; ++i) {
        collector.include_word(words.word[i]);
    }
}

/// Over `lanes` neighbouring lanes (a power of two); all 32 lanes of the warp must call it.
template <class Range>
OPFORGE_DEVICE Range reduce_lanes(Range range, u32 lanes) {
    for (u32 mask = lanes / 2; mask > 0; mask /= 2) {
        range.include(range.shuffle_xor(mask));
    }
    return range;
}

/// Over the whole block, at most 1024 threads in whole warps; every thread gets the result.
/// kReused: synchronises the block before it returns, so that `scratch` (32 ranges of shared
/// memory) may be used again at once.
template <bool kReused = true, class Range>
OPFORGE_DEVICE Range reduce_block(Range range, Range* scratch) {
    range = range.reduce_warp();
    const u32 warp = threadIdx.x / 32;
    const u32 lane = threadIdx.x % 32;
    if (lane == 0) {
        scratch[warp] = range;
    }
    __syncthreads();
    Range total = Range::empty();
    if (lane < blockDim.x / 32) {
        total = scratch[lane];
    }
    total = total.reduce_warp();
    if (kReused) {
        __syncthreads();
    }
    return total;
}

}  // namespace opforge
