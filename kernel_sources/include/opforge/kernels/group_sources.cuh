// Where the values of a group come from, for group_quantize.cuh: a tensor, or a sum over devices'
// codes; and around either, LoCo's error feedback.
#pragma once

#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_parameters.cuh"
#include "opforge/kernels/group_quantize.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/octet.cuh"
#include "opforge/kernels/quantize_arguments.cuh"

namespace opforge {

struct LoadedValues {
    Octet values;
};

template <class Element>
struct TensorSource {
    using Raw = typename Element::Raw;
    using Loaded = LoadedValues;
    using RangeElement = Element;
    static constexpr bool kFeedback = false;
    static constexpr bool kDear = false;
    const QuantizeArguments& arguments;

    explicit OPFORGE_DEVICE TensorSource(const QuantizeArguments& given) : arguments(given) {}
    OPFORGE_DEVICE Loaded load(i64 group, i64, i64 place, u32 count) const {
        return {load_octet<Element>(from(group, place), count, arguments.launch.aligned != 0)};
    }
    /// In words, several values at a time.
    template <class Collector>
    OPFORGE_DEVICE void collect(i64 group, i64 place, u32 count, Collector& collector) const {
        constexpr int kChunk = Chunk<Element>::kCount;
#pragma unroll
        for (int first = 0; first < 8; first += kChunk) {
            const Chunk<Element> chunk = load_chunk<Element>(
                from(group, place), static_cast<u32>(first), count, arguments.launch.aligned != 0);
#pragma unroll
            for (int i = 0; i < Chunk<Element>::kWords; ++i) {
                collector.include_word(chunk.word[i]);
            }
        }
    }
    OPFORGE_DEVICE void keep(i64, i64, u32, const Loaded&, const Octet&) const {}

private:
    OPFORGE_DEVICE const Raw* from(i64 group, i64 place) const {
        return static_cast<const Raw*>(arguments.input) + group * arguments.launch.group_size +
               place;
    }
};

/// a = +0, then for each device in order a = W(a + W(decoded)): contract, section 8.
template <class Element, class Record>
struct SumSource {
    using Loaded = LoadedValues;
    using RangeElement = Fp32;
    static constexpr bool kFeedback = false;
    static constexpr bool kDear = true;
    // Devices whose codes are under way at once.
    static constexpr int kBatch = 4;
    const QuantizeArguments& arguments;

    explicit OPFORGE_DEVICE SumSource(const QuantizeArguments& given) : arguments(given) {}
    OPFORGE_DEVICE Loaded load(i64 group, i64, i64 place, u32 count) const {
        const kernels::ReductionArguments& from = arguments.reduction;
        const u32 bits = arguments.bits;
        const bool aligned = arguments.launch.aligned != 0;
        const i64 first = group * arguments.launch.group_size + place;
        const i64 record = divide(first, from.group_size);
        // Of the octet's elements, how many belong to the first one's record.
        const i64 left = (record + 1) * from.group_size - first;
        // A device's tensor need not fill whole octets, but fills whole bytes.
        const i64 stride = from.elements * bits / 8;
        const unsigned char* codes = from.codes + first * bits / 8;
        Sum sum{};
        if (aligned && left >= count) {
#pragma unroll 1
            for (i64 device = 0; device < from.devices; device += kBatch) {
                PackedCodes packed[kBatch] = {};
                Record by[kBatch] = {};
#pragma unroll
                for (int k = 0; k < kBatch; ++k) {
                    if (device + k < from.devices) {
                        packed[k] = load_codes<8>(codes + (device + k) * stride, bits, 8, true);
                        by[k] = Record(from.params, (device + k) * from.groups + record);
                    }
                }
#pragma unroll
                for (int k = 0; k < kBatch; ++k) {
                    if (device + k < from.devices) {
                        float code[8];
                        unpack(packed[k], bits, code);
                        sum.add(code, [&](u32) { return by[k]; });
                    }
                }
            }
        } else {
            // Also octets that lie across records: one body for all, since it is rare.
#pragma unroll 1
            for (i64 device = 0; device < from.devices; ++device) {
                float code[8];
                unpack(load_codes<8>(codes + device * stride, bits, count, false), bits, code);
                i64 at = device * from.groups + record;
                u32 end = count_from(0, left, 8);  // of the record, as an element of the octet
                sum.add(code, [&](u32 i) {
                    if (i == end && i < count) {
                        ++at;
                        end += count_from(0, from.group_size, 8);
                    }
                    return Record(from.params, at);
                });
            }
        }
        Octet values = sum.values();
        // What the octet lacks was summed from zero codes: it must not be in the range.
#pragma unroll
        for (u32 i = 1; i < 8; ++i) {
            values.value[i] = i < count ? values.value[i] : values.value[0];
        }
        return {values};
    }
    OPFORGE_DEVICE void keep(i64, i64, u32, const Loaded&, const Octet&) const {}

private:
    /// Eight sums in the working format.
    struct Sum {
        static constexpr int kEach = Element::kPerWord;
        static constexpr int kWords = 8 / kEach;
        u32 word[kWords];

        template <class RecordOf>
        OPFORGE_DEVICE void add(const float (&code)[8], RecordOf record_of) {
#pragma unroll
            for (int i = 0; i < kWords; ++i) {
                float decoded[kEach];
#pragma unroll
                for (int k = 0; k < kEach; ++k) {
                    decoded[k] =
                        record_of(static_cast<u32>(i * kEach + k)).decode(code[i * kEach + k]);
                }
                word[i] = Element::add_word(word[i], Element::narrow_word(decoded));
            }
        }
        OPFORGE_DEVICE Octet values() const {
            Octet result;
#pragma unroll
            for (int i = 0; i < kWords; ++i) {
                float values[kEach];
                Element::widen_word(word[i], values);
#pragma unroll
                for (int k = 0; k < kEach; ++k) {
                    result.value[i * kEach + k] = values[k];
                }
            }
            return result;
        }
    };
};

struct LoadedWithError {
    Octet values;  // h = W(x + e)
    Octet error;   // e
};

/// h = W(x + e); once h is decoded as d: e' = W(fma(1 - beta, h - d, beta * e)). Contract,
/// section 7.
template <class Element, class Source>
struct FeedbackSource {
    using Raw = typename Element::Raw;
    using Loaded = LoadedWithError;
    using RangeElement = Fp32;
    static constexpr bool kFeedback = true;
    static constexpr bool kDear = true;
    const QuantizeArguments& arguments;
    Source source;

    explicit OPFORGE_DEVICE FeedbackSource(const QuantizeArguments& given)
        : arguments(given), source(given) {}
    OPFORGE_DEVICE Loaded load(i64 group, i64 out, i64 place, u32 count) const {
        Loaded loaded;
        loaded.error = load_octet<Element>(error_at(out, place), count, is_aligned());
        loaded.values = source.load(group, out, place, count).values;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            loaded.values.value[i] =
                rounded<Element>(loaded.values.value[i] + loaded.error.value[i]);
        }
        return loaded;
    }
    OPFORGE_DEVICE void keep(i64 out, i64 place, u32 count, const Loaded& loaded,
                             const Octet& decoded) const {
        Octet error;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float residual = loaded.values.value[i] - rounded<Element>(decoded.value[i]);
            error.value[i] =
                __fmaf_rn(arguments.err_keep, residual, arguments.err_beta * loaded.error.value[i]);
        }
        store_octet<Element>(error_at(out, place), error, count, is_aligned());
    }

private:
    OPFORGE_DEVICE Raw* error_at(i64 out, i64 place) const {
        return static_cast<Raw*>(arguments.error) + out * arguments.launch.group_size + place;
    }
    OPFORGE_DEVICE bool is_aligned() const {
        return arguments.launch.aligned != 0;
    }
};

}  // namespace opforge
