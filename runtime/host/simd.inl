// Element formats and random numbers in whole vectors, by Highway for the instruction set that the
// including file is compiled for. Same bits as elements.inl and
// vector_math.inl, whose rules hold here; with two
// liberties: what is narrowed is no NaN, and rounding modes are the process's default ones.
// Included after elements.inl. Highway's own functions are static, so that no other translation
// unit can end up with a copy made here.

// Without them Highway would want AES of the machine, which nothing here uses.
#define HWY_DISABLE_PCLMUL_AES
#include <hwy/cache_control.h>
#include <hwy/highway.h>

namespace opforge::runtime::host {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using FloatVector = hn::Vec<Floats>;
using Words = hn::ScalableTag<u32>;
constexpr int kFloats = static_cast<int>(hn::MaxLanes(Floats()));

/// A vector of elements is kParts vectors of floats, in an order of the format's own.
template <class Element>
struct Simd;

template <>
struct Simd<Fp16> {
    using Raws = hn::ScalableTag<u16>;
    using RawVector = hn::Vec<Raws>;
    static constexpr int kParts = 2;
    using HalfRaws = hn::Half<Raws>;
    using Halves = hn::Rebind<hwy::float16_t, Floats>;

    static void widen(RawVector raw, FloatVector* values) {
        values[0] = hn::PromoteTo(Floats(), hn::BitCast(Halves(), hn::LowerHalf(HalfRaws(), raw)));
        values[1] = hn::PromoteTo(Floats(), hn::BitCast(Halves(), hn::UpperHalf(HalfRaws(), raw)));
    }
    static RawVector narrow(const FloatVector* values) {
        const auto low = hn::BitCast(HalfRaws(), hn::DemoteTo(Halves(), values[0]));
        const auto high = hn::BitCast(HalfRaws(), hn::DemoteTo(Halves(), values[1]));
        return hn::Combine(Raws(), high, low);
    }
    /// One float for each element, in the order of widen().
    static void load_floats(const float* from, FloatVector* values) {
        values[0] = hn::LoadU(Floats(), from);
        values[1] = hn::LoadU(Floats(), from + kFloats);
    }
};

template <>
struct Simd<Bf16> {
    using Raws = hn::ScalableTag<u16>;
    using RawVector = hn::Vec<Raws>;
    static constexpr int kParts = 2;

    // Elements of even place, then those of odd place: no element leaves its word.
    static void widen(RawVector raw, FloatVector* values) {
        const auto words = hn::BitCast(Words(), raw);
        values[0] = hn::BitCast(Floats(), hn::ShiftLeft<16>(words));
        values[1] = hn::BitCast(Floats(), hn::And(words, hn::Set(Words(), 0xffff0000U)));
    }
    static RawVector narrow(const FloatVector* values) {
        const auto even = hn::ShiftRight<16>(rounded(values[0]));
        const auto odd = hn::And(rounded(values[1]), hn::Set(Words(), 0xffff0000U));
        return hn::BitCast(Raws(), hn::Or(even, odd));
    }
    static void load_floats(const float* from, FloatVector* values) {
        hn::LoadInterleaved2(Floats(), from, values[0], values[1]);
    }

private:
    /// To the upper half, ties to even.
    static hn::Vec<Words> rounded(FloatVector value) {
        const auto bits = hn::BitCast(Words(), value);
        const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(Words(), 1));
        return hn::Add(hn::Add(bits, hn::Set(Words(), 0x7fffU)), odd);
    }
};

template <>
struct Simd<Fp32> {
    using Raws = hn::ScalableTag<u32>;
    using RawVector = hn::Vec<Raws>;
    static constexpr int kParts = 1;

    static void widen(RawVector raw, FloatVector* values) {
        values[0] = hn::BitCast(Floats(), raw);
    }
    static RawVector narrow(const FloatVector* values) { return hn::BitCast(Raws(), values[0]); }
    static void load_floats(const float* from, FloatVector* values) {
        values[0] = hn::LoadU(Floats(), from);
    }
};

/// One element.
template <class Element>
float widen_one(typename Element::Raw raw) {
    FloatVector values[Simd<Element>::kParts];
    Simd<Element>::widen(hn::Set(typename Simd<Element>::Raws(), raw), values);
    return hn::GetLane(values[0]);
}

inline FloatVector round_half_even(FloatVector v) {
    const auto shift = hn::Set(Floats(), 12582912.0F);
    return hn::Sub(hn::Add(v, shift), shift);
}
inline FloatVector one_where(hn::Mask<Floats> mask) {
    return hn::IfThenElseZero(mask, hn::Set(Floats(), 1.0F));
}
/// Ties away from zero, for v >= 0. With the float below a half what is below a tie stays below the
/// next integer, and a tie's sum, half way to it, is rounded to it.
inline FloatVector round_half_up(FloatVector v) {
    return hn::Floor(hn::Add(v, hn::Set(Floats(), 0x1.fffffep-2F)));
}

/// The numbers of a run of at most kChunk indices, drawn together: four to a counter.
class RandomUnits {
public:
    explicit RandomUnits(const RandomState& random) : offset_(random.offset) {
        auto key0 = static_cast<u32>(random.seed);
        auto key1 = static_cast<u32>(random.seed >> 32U);
        for (auto& keys : keys_) {
            keys[0] = hn::Set(Longs(), key0);
            keys[1] = hn::Set(Longs(), key1);
            key0 += 0x9E3779B9U;
            key1 += 0xBB67AE85U;
        }
    }
    /// Those of elements `first` to first + count - 1 of the tensor; valid until the next drawing.
    /// At least a vector's worth may be read from any of them.
    const float* draw(i64 first, int count) {
        const u64 j = offset_ + static_cast<u64>(first);
        const int phase = static_cast<int>(j % 4);
        for (int i = 0; i < (phase + count + 3) / 4; i += kCounters) {
            draw_counters((j >> 2U) + static_cast<u64>(i), units_ + 4 * i);
        }
        return units_ + phase;
    }

private:
    using Longs = hn::ScalableTag<u64>;
    using LongVector = hn::Vec<Longs>;
    static constexpr int kCounters = static_cast<int>(hn::MaxLanes(Longs()));
    static constexpr int kRounds = 10;

    // Every word of the generator in the lower half of a lane of 64 bits, where a multiplication
    // takes it from and leaves its product; what stands above is ignored until the end. A product's
    // upper half is brought down by a shuffle: shifts compete with the multiplications.
    void draw_counters(u64 counter, float* units) const {
        const Longs longs;
        // Indices wrap at 2^64, so counters wrap at 2^62.
        const auto counters = hn::And(hn::Add(hn::Iota(longs, 0), hn::Set(longs, counter)),
                                      hn::Set(longs, ~u64{0} >> 2U));
        const auto factor0 = hn::Set(Words(), 0xD2511F53U);
        const auto factor1 = hn::Set(Words(), 0xCD9E8D57U);
        auto c0 = counters;
        auto c1 = hn::ShiftRight<32>(counters);
        auto c2 = hn::Zero(longs);
        auto c3 = hn::Zero(longs);
        for (const auto& keys : keys_) {
            const auto product0 = hn::MulEven(hn::BitCast(Words(), c0), factor0);
            const auto product1 = hn::MulEven(hn::BitCast(Words(), c2), factor1);
            c0 = hn::Xor3(halves_swapped(product1), c1, keys[0]);
            c1 = product1;
            c2 = hn::Xor3(halves_swapped(product0), c3, keys[1]);
            c3 = product0;
        }
        const auto lower = hn::Set(longs, 0xffffffffU);
        const auto first = hn::Or(hn::And(c0, lower), hn::ShiftLeft<32>(c1));
        const auto second = hn::Or(hn::And(c2, lower), hn::ShiftLeft<32>(c3));
        hn::StoreInterleaved2(to_units(first), to_units(second), longs,
                              reinterpret_cast<u64*>(units));
    }

    static LongVector halves_swapped(LongVector lane) {
        return hn::BitCast(Longs(), hn::Shuffle2301(hn::BitCast(Words(), lane)));
    }

    /// Two words a lane to two floats in [0, 1).
    static LongVector to_units(LongVector words) {
        const hn::ScalableTag<std::int32_t> integers;
        const auto kept = hn::ShiftRight<8>(hn::BitCast(Words(), words));
        const auto floats = hn::ConvertTo(Floats(), hn::BitCast(integers, kept));
        return hn::BitCast(Longs(), hn::Mul(floats, hn::Set(Floats(), 0x1p-24F)));
    }

    u64 offset_;
    LongVector keys_[kRounds][2];
    // Beyond the last: a vector more of counters, and what a whole vector of elements reads.
    alignas(64) float units_[kChunk + 4 + 4 * kCounters + 2 * kFloats];
};

}  // namespace
}  // namespace opforge::runtime::host
