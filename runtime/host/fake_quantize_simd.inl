// The inner loops of fake quantization on the host by Highway, included once for each instruction
// set with
//   OPFORGE_HOST_KERNELS      name of the table to define
//   OPFORGE_HOST_INSTRUCTIONS its instruction set, as text
// The same bits as fake_quantize_kernels.inl, which serves where there is no fused multiply-add or
// no conversion of fp16.

#include "elements.inl"
#include "fake_quantize_kernels.hpp"

#include "range.inl"

#include "group_codec.inl"
#include "simd.inl"

namespace opforge::runtime::host {
namespace {

// A group's elements are read twice: up to here the second reading finds them in a core's own
// cache. Larger groups are gone over backwards, in slices, from what was read last.
constexpr i64 kCachedBytes = 256 * 1024;
constexpr i64 kSlice = 32768;

// Groups whose ranges are found before any of them is applied; so many bytes stay in the first
// cache.
constexpr int kTogether = 16;
constexpr i64 kTogetherBytes = 4096;

// From here on results go past the caches: a store into a cache first reads what it overwrites.
// What is smaller, whoever asked for it finds in the cache.
constexpr i64 kStreamedBytes = i64{16} << 20U;

template <class Element, bool kAsymmetric>
struct Loops {
    using Raw = typename Element::Raw;
    using Format = Simd<Element>;
    using Raws = typename Format::Raws;
    using RawVector = typename Format::RawVector;
    static constexpr int kLanes = static_cast<int>(hn::MaxLanes(Raws()));

    // --- the range

    /// Signed integers that order like the values, -0 below +0: the negatives' order is inverted.
    /// Symmetric: the magnitude's bits.
    using Orders = hn::RebindToSigned<Raws>;
    using OrderVector = hn::Vec<Orders>;
    static OrderVector order_of(RawVector raw) {
        const auto bits = hn::BitCast(Orders(), raw);
        const auto magnitude = hn::Set(Orders(), static_cast<hn::TFromD<Orders>>(~Element::kSign));
        if constexpr (kAsymmetric) {
            constexpr int kSignBit = 8 * static_cast<int>(sizeof(Raw)) - 1;
            return hn::Xor(bits, hn::And(hn::ShiftRight<kSignBit>(bits), magnitude));
        }
        return hn::And(bits, magnitude);
    }

    /// The least and the greatest so far; symmetric: the greatest alone.
    struct Extrema {
        OrderVector low;
        OrderVector high;
        void include(RawVector raw) {
            const auto order = order_of(raw);
            high = hn::Max(high, order);
            if constexpr (kAsymmetric) {
                low = hn::Min(low, order);
            }
        }
        void include(const Extrema& other) {
            high = hn::Max(high, other.high);
            low = hn::Min(low, other.low);
        }
        [[nodiscard]] Raw greatest() const { return greatest_lane(high); }
        [[nodiscard]] Raw least() const {
            return static_cast<Raw>(~greatest_lane(hn::Not(low)));  // the order's negation, nearly
        }
    };

    static Raw greatest_lane(OrderVector orders) {
        if constexpr (sizeof(Raw) == 4) {
            return static_cast<Raw>(hn::GetLane(hn::MaxOfLanes(Orders(), orders)));
        } else {
            // Unsigned and inverted: SSE4.1 finds the least of eight words in one instruction.
            const Raws raws;
            const auto flipped = hn::Xor(hn::BitCast(raws, orders), hn::Set(raws, 0x7fff));
            return static_cast<Raw>(least_word(raws, flipped) ^ 0x7fffU);
        }
    }
    template <class D>
    static u16 least_word(D d, hn::Vec<D> words) {
        if constexpr (hn::MaxLanes(D()) > 8) {
            const hn::Half<D> half;
            return least_word(half,
                              hn::Min(hn::LowerHalf(half, words), hn::UpperHalf(half, words)));
        } else {
            return hn::GetLane(hn::MinOfLanes(d, words));
        }
    }

    /// The value that has this order.
    static float value_of_order(Raw order) {
        constexpr Raw kMagnitude = static_cast<Raw>(~Element::kSign);
        const bool negative = (order & Element::kSign) != 0;
        return widen_one<Element>(static_cast<Raw>(negative ? order ^ kMagnitude : order));
    }

    // Fewer elements than a vector has, 1 or more. By masks where the machine has them for the
    // element's width: through memory they cost three times as much.
    static constexpr bool kMasks = HWY_TARGET <= HWY_AVX3 || sizeof(Raw) == 4;

    /// The first one fills the rest.
    static RawVector load_few(const Raw* from, int count) {
        const Raws raws;
        if constexpr (kMasks) {
            const auto mask = hn::FirstN(raws, static_cast<u64>(count));
            return hn::IfThenElse(mask, hn::MaskedLoad(mask, raws, from), hn::Set(raws, from[0]));
        }
        Raw padded[kLanes];
        for (Raw& one : padded) {
            one = from[0];
        }
        __builtin_memcpy(padded, from, sizeof(Raw) * static_cast<u64>(count));
        return hn::LoadU(raws, padded);
    }
    static void store_few(RawVector few, Raw* to, int count) {
        const Raws raws;
        if constexpr (kMasks) {
            hn::BlendedStore(few, hn::FirstN(raws, static_cast<u64>(count)), raws, to);
            return;
        }
        Raw padded[kLanes];
        hn::StoreU(few, raws, padded);
        __builtin_memcpy(to, padded, sizeof(Raw) * static_cast<u64>(count));
    }

    static Extrema measure(const Raw* in, i64 count) {
        const Raws raws;
        const auto first = order_of(count < kLanes ? load_few(in, static_cast<int>(count))
                                                   : hn::LoadU(raws, in + count - kLanes));
        Extrema a = {first, first};
        if (count >= 2 * kLanes) {
            Extrema b = a;
            i64 i = 0;
            for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
                a.include(hn::LoadU(raws, in + i));
                b.include(hn::LoadU(raws, in + i + kLanes));
            }
            if (i + kLanes <= count) {
                a.include(hn::LoadU(raws, in + i));
            }
            a.include(b);
        } else if (count > kLanes) {
            a.include(hn::LoadU(raws, in));
        }
        return a;
    }

    // --- the elements

    /// What all groups share. Asked of the task once: its functions are out of line.
    struct Limits {
        double levels;
        float code_min;
        float code_max;
        bool stream;  // results go past the caches
        explicit Limits(const FakeQuantizeTask& task)
            : levels(static_cast<double>(task.levels())), code_min(task.code_min()),
              code_max(task.code_max()),
              stream(task.input != task.output &&
                     task.groups * task.group_size >=
                         kStreamedBytes / static_cast<i64>(sizeof(Raw))) {}
    };

    /// In every lane.
    struct Factors {
        FloatVector low;
        FloatVector step;
        FloatVector scale;
        FloatVector code_min;
        FloatVector code_max;
        Factors(const Limits& limits, const GroupCodec& codec)
            : low(hn::Set(Floats(), codec.low)), step(hn::Set(Floats(), codec.step)),
              scale(hn::Set(Floats(), codec.scale)), code_min(hn::Set(Floats(), limits.code_min)),
              code_max(hn::Set(Floats(), limits.code_max)) {}
    };

    template <bool kStochastic>
    static FloatVector fake_quantize(const Factors& by, FloatVector x, FloatVector unit) {
        const auto v = kAsymmetric ? hn::Mul(hn::Sub(x, by.low), by.scale) : hn::Mul(x, by.scale);
        const auto clamped = [&](FloatVector q) {
            return hn::Min(hn::Max(q, by.code_min), by.code_max);
        };
        FloatVector q;
        if constexpr (kStochastic) {
            const auto t = hn::Floor(v);
            q = clamped(hn::Add(t, one_where(hn::Lt(unit, hn::Sub(v, t)))));
        } else if constexpr (kAsymmetric) {
            q = round_half_up(v);
        } else {
            // No code is below the least: a magnitude times the scale is half the levels at most.
            q = hn::Min(round_half_even(v), by.code_max);
        }
        return kAsymmetric ? hn::MulAdd(q, by.step, by.low) : hn::Mul(q, by.step);
    }

    template <bool kStochastic>
    static RawVector fake_quantize(const Factors& by, RawVector raw, const float* units) {
        FloatVector values[Format::kParts];
        FloatVector unit[Format::kParts];
        Format::widen(raw, values);
        if constexpr (kStochastic) {
            Format::load_floats(units, unit);
        }
        for (int k = 0; k < Format::kParts; ++k) {
            values[k] = fake_quantize<kStochastic>(by, values[k],
                                                   kStochastic ? unit[k] : hn::Zero(Floats()));
        }
        return Format::narrow(values);
    }

    static bool is_vector_aligned(const Raw* address) {
        return reinterpret_cast<std::uintptr_t>(address) % (sizeof(Raw) * kLanes) == 0;
    }

    /// While a group is applied memory would have nothing to read: what is to be measured next is
    /// asked for, so many elements ahead.
    static i64 read_ahead(i64 group_size) {
        constexpr i64 kLeast = 4096 / static_cast<i64>(sizeof(Raw));
        return group_size > kLeast ? group_size : kLeast;
    }

    /// `out` is `in`, or does not overlap it. `units`: one for each element; nearest: null.
    /// `ahead`: how far from an element what is read next lies; 0: nowhere.
    template <bool kStochastic>
    static void apply_run(const Factors& by, const Raw* in, Raw* out, i64 count, const float* units,
                          i64 ahead, bool stream) {
        const Raws raws;
        if (count < kLanes) {
            const int few = static_cast<int>(count);
            __builtin_prefetch(in + ahead);
            store_few(fake_quantize<kStochastic>(by, load_few(in, few), units), out, few);
            return;
        }
        // The last vector overlaps the one before it: read before that one is written.
        const i64 rest = count - kLanes;
        const auto last = fake_quantize<kStochastic>(by, hn::LoadU(raws, in + rest),
                                                     kStochastic ? units + rest : nullptr);
        const auto loop = [&](auto store) __attribute__((always_inline)) {
            for (i64 i = 0; i < rest; i += kLanes) {
                __builtin_prefetch(in + i + ahead);
                store(fake_quantize<kStochastic>(by, hn::LoadU(raws, in + i),
                                                 kStochastic ? units + i : nullptr),
                      out + i);
            }
            __builtin_prefetch(in + rest + ahead);
        };
        if (stream && is_vector_aligned(out)) {
            loop([&](RawVector result, Raw* to) __attribute__((always_inline)) {
                hn::Stream(result, raws, to);
            });
        } else {
            loop([&](RawVector result, Raw* to) __attribute__((always_inline)) {
                hn::StoreU(result, raws, to);
            });
        }
        hn::StoreU(last, raws, out + rest);
    }

    static void poison(Raw* out, i64 count) {
        const Raw nan = Element::narrow(as_float(0x7fc00000U));
        for (i64 i = 0; i < count; ++i) {
            out[i] = nan;
        }
    }

    // --- tasks

    /// Elements of the largest group that goes with others, nearest rounding. Where memory is all
    /// that is waited for (fp32), reading so far ahead costs more than it saves.
    static constexpr i64 kSmallGroup = sizeof(Raw) == 4
                                           ? (kAsymmetric ? 32 : 64)
                                           : kTogetherBytes / 4 / static_cast<i64>(sizeof(Raw));

    const FakeQuantizeTask& task;
    Limits limits;
    explicit Loops(const FakeQuantizeTask& of) : task(of), limits(of) {}

    [[nodiscard]] const Raw* input(i64 first) const {
        return static_cast<const Raw*>(task.input) + first;
    }
    [[nodiscard]] Raw* output(i64 first) const { return static_cast<Raw*>(task.output) + first; }

    [[nodiscard]] GroupCodec codec_of(i64 group) const {
        const Extrema range = measure(input(group * task.group_size), task.group_size);
        const float high = value_of_order(range.greatest());
        return group_codec<kAsymmetric>(limits.levels,
                                        kAsymmetric ? value_of_order(range.least()) : 0.0F, high);
    }

    /// Elements [first, first + count) of one group.
    template <bool kStochastic>
    void apply_group(const GroupCodec& codec, i64 first, i64 count, i64 ahead) const {
        if (codec.step != codec.step) {
            poison(output(first), count);
            return;
        }
        const Factors by(limits, codec);
        if constexpr (!kStochastic) {
            apply_run<false>(by, input(first), output(first), count, nullptr, ahead, limits.stream);
        } else {
            RandomUnits units(task.random);
            for (i64 done = 0; done < count; done += kChunk) {
                const int size = static_cast<int>(count - done < kChunk ? count - done : kChunk);
                apply_run<true>(by, input(first + done), output(first + done), size,
                                units.draw(first + done, size), ahead, limits.stream);
            }
        }
    }

    /// One that a core's own cache does not hold.
    template <bool kStochastic>
    void large_group(i64 group) const {
        const GroupCodec codec = codec_of(group);
        for (i64 end = task.group_size; end > 0;) {
            // Whole slices but for the last, so that they begin where vectors do.
            const i64 begin = (end - 1) / kSlice * kSlice;
            apply_group<kStochastic>(codec, group * task.group_size + begin, end - begin, 0);
            end = begin;
        }
    }

    /// Codecs of groups [begin, begin + count), at most kTogether. A group's reduction and
    /// divisions are a chain of a hundred cycles, as long as all else that is done for a group of a
    /// hundred elements: those of several groups overlap.
    void codecs_of(i64 begin, i64 count, GroupCodec* codecs) const {
        float low[kTogether] = {};
        float high[kTogether] = {};
        for (i64 i = 0; i < count; ++i) {
            const Extrema range = measure(input((begin + i) * task.group_size), task.group_size);
            high[i] = value_of_order(range.greatest());
            if constexpr (kAsymmetric) {
                low[i] = value_of_order(range.least());
            }
        }
        for (int i = 0; i < kTogether; ++i) {
            codecs[i] = group_codec<kAsymmetric>(limits.levels, low[i], high[i]);
        }
    }

    /// Groups that go together; with stochastic rounding those that share a drawing of random
    /// numbers.
    template <bool kStochastic>
    void small_groups(i64 begin, i64 end) const {
        const i64 size = task.group_size;
        const i64 most =
            kStochastic ? kChunk / size : kTogetherBytes / (size * static_cast<i64>(sizeof(Raw)));
        const i64 at_once = most < kTogether ? most : kTogether;
        RandomUnits units(task.random);
        for (i64 group = begin; group < end; group += at_once) {
            const i64 count = end - group < at_once ? end - group : at_once;
            GroupCodec codecs[kTogether];
            codecs_of(group, count, codecs);
            const float* drawn = nullptr;
            if constexpr (kStochastic) {
                drawn = units.draw(group * size, static_cast<int>(count * size));
            }
            for (i64 i = 0; i < count; ++i) {
                const i64 first = (group + i) * size;
                if (codecs[i].step != codecs[i].step) {
                    poison(output(first), size);
                } else {
                    apply_run<kStochastic>(Factors(limits, codecs[i]), input(first), output(first),
                                           size, kStochastic ? drawn + i * size : nullptr,
                                           group + i + 1 < end ? read_ahead(at_once * size) : 0,
                                           limits.stream);
                }
            }
        }
    }

    template <bool kStochastic>
    void run_groups(i64 begin, i64 end) const {
        if (task.group_size <= (kStochastic ? kChunk / 2 : kSmallGroup)) {
            small_groups<kStochastic>(begin, end);
        } else if (task.group_size > kCachedBytes / static_cast<i64>(sizeof(Raw))) {
            for (i64 group = begin; group < end; ++group) {
                large_group<kStochastic>(group);
            }
        } else {
            for (i64 group = begin; group < end; ++group) {
                // What follows the last group is another thread's.
                const i64 ahead = group + 1 < end ? read_ahead(task.group_size) : 0;
                apply_group<kStochastic>(codec_of(group), group * task.group_size, task.group_size,
                                         ahead);
            }
        }
        hwy::FlushStream();
    }

    void groups(i64 begin, i64 end) const {
        task.stochastic ? run_groups<true>(begin, end) : run_groups<false>(begin, end);
    }

    [[nodiscard]] RangeKeys measure_slice(i64 first, i64 count) const {
        const Extrema range = measure(input(first), count);
        // Symmetric: the magnitude is its own key.
        const Raw flip = kAsymmetric ? Element::kSign : Raw{0};
        return {static_cast<Raw>(range.least() ^ flip), static_cast<Raw>(range.greatest() ^ flip)};
    }

    void apply_slice(RangeKeys range, i64 first, i64 count) const {
        const GroupCodec codec = group_codec<Element, kAsymmetric>(limits.levels, range);
        if (count > 0) {
            task.stochastic ? apply_group<true>(codec, first, count, 0)
                            : apply_group<false>(codec, first, count, 0);
        }
        hwy::FlushStream();
    }
};

/// Calls `act` with the loops of the task's dtype and range.
template <class Act>
auto with_loops(const FakeQuantizeTask& task, Act act) {
    return with_element(task.dtype, [&](auto element) {
        using Element = decltype(element);
        return task.asymmetric ? act(Loops<Element, true>(task)) : act(Loops<Element, false>(task));
    });
}

void run_groups(const FakeQuantizeTask& task, i64 begin, i64 end) {
    with_loops(task, [&](const auto& loops) { loops.groups(begin, end); });
}
RangeKeys run_measure(const FakeQuantizeTask& task, i64 first, i64 count) {
    return with_loops(task, [&](const auto& loops) { return loops.measure_slice(first, count); });
}
void run_apply(const FakeQuantizeTask& task, RangeKeys range, i64 first, i64 count) {
    with_loops(task, [&](const auto& loops) { loops.apply_slice(range, first, count); });
}

}  // namespace

const FakeQuantizeKernels OPFORGE_HOST_KERNELS = {OPFORGE_HOST_INSTRUCTIONS, run_groups,
                                                  run_measure, run_apply};

}  // namespace opforge::runtime::host
