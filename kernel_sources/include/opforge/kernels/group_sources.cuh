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
    static constexpr bool kFeedback = false;
    const QuantizeArguments& arguments;

    explicit OPFORGE_DEVICE TensorSource(const QuantizeArguments& given) : arguments(given) {}
    OPFORGE_DEVICE LoadedValues load(i64 group, i64 place, u32 count) const {
        const Raw* from =
            static_cast<const Raw*>(arguments.input) + group * arguments.launch.group_size + place;
        return {load_octet<Element>(from, count, arguments.launch.aligned != 0)};
    }
    OPFORGE_DEVICE void keep(i64, i64, u32, const LoadedValues&, const Octet&) const {}
};

/// a = +0, then for each device in order a = W(a + W(decoded)): contract, section 8.
template <class Element, class Record>
struct SumSource {
    static constexpr bool kFeedback = false;
    const QuantizeArguments& arguments;

    explicit OPFORGE_DEVICE SumSource(const QuantizeArguments& given) : arguments(given) {}
    OPFORGE_DEVICE LoadedValues load(i64 group, i64 place, u32 count) const {
        const kernels::ReductionArguments& from = arguments.reduction;
        const u32 bits = arguments.bits;
        const bool aligned = arguments.launch.aligned != 0;
        const i64 first = group * arguments.launch.group_size + place;
        const i64 record = divide(first, from.group_size);
        // Of the octet's elements, how many belong to the first one's record.
        const i64 left = (record + 1) * from.group_size - first;
        Octet sum{};
#pragma unroll 1
        for (i64 device = 0; device < from.devices; ++device) {
            const i64 records = device * from.groups;
            // A device's tensor need not fill whole octets, but fills whole bytes.
            const unsigned char* codes =
                from.codes + device * (from.elements * bits / 8) + first * bits / 8;
            float code[8];
            unpack(load_codes(codes, bits, count, aligned), bits, code);
            const Record by(from.params, records + record);
            if (left >= count) {
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    add(sum, i, by.decode(code[i]));
                }
            } else {
#pragma unroll
                for (u32 i = 0; i < 8; ++i) {
                    const u32 inside = i < count ? i : 0;
                    const Record own(from.params,
                                     records + divide(first + inside, from.group_size));
                    add(sum, static_cast<int>(i), own.decode(code[i]));
                }
            }
        }
        // What the octet lacks was summed from zero codes: it must not be in the range.
#pragma unroll
        for (u32 i = 1; i < 8; ++i) {
            sum.value[i] = i < count ? sum.value[i] : sum.value[0];
        }
        return {sum};
    }
    OPFORGE_DEVICE void keep(i64, i64, u32, const LoadedValues&, const Octet&) const {}

private:
    static OPFORGE_DEVICE void add(Octet& sum, int i, float value) {
        sum.value[i] = rounded<Element>(sum.value[i] + rounded<Element>(value));
    }
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
    static constexpr bool kFeedback = true;
    const QuantizeArguments& arguments;
    Source source;

    explicit OPFORGE_DEVICE FeedbackSource(const QuantizeArguments& given)
        : arguments(given), source(given) {}
    OPFORGE_DEVICE LoadedWithError load(i64 group, i64 place, u32 count) const {
        LoadedWithError loaded;
        loaded.values = source.load(group, place, count).values;
        const i64 out = output_group(group, arguments.swizzle);
        loaded.error = load_octet<Element>(error_at(out, place), count, is_aligned());
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            loaded.values.value[i] =
                rounded<Element>(loaded.values.value[i] + loaded.error.value[i]);
        }
        return loaded;
    }
    OPFORGE_DEVICE void keep(i64 out, i64 place, u32 count, const LoadedWithError& loaded,
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
