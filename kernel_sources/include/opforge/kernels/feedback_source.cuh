// LoCo's error feedback around another source, see group_quantize.cuh: h = W(x + e); once h is
// decoded as d: e' = W(fma(1 - beta, h - d, beta * e)). Contract, section 7.
#pragma once

#include "opforge/kernels/batch_place.cuh"
#include "opforge/kernels/octet.cuh"
#include "opforge/kernels/quantize_arguments.cuh"

namespace opforge {

/// kErrorFirst: whether the error is under way while the other source works, which costs registers.
template <class Source, bool kErrorFirst>
struct FeedbackSource {
    using Format = typename Source::Format;
    using Raw = typename Format::Raw;
    struct Loaded {
        Octet<Format> values;  // h
        Octet<Format> error;   // e
    };
    static constexpr u32 kBlocks = 2;
    static constexpr bool kFeedback = true;
    static constexpr bool kTwoBits = false;
    static constexpr int kRun = Source::kRun;
    static constexpr int kBatch = Source::kBatch;
    static constexpr u32 kVectors = Source::kVectors + Octet<Format>::kWords / 4;

    class Share {
    public:
        OPFORGE_DEVICE Share(const kernels::QuantizeArguments& arguments, i64 group, i64 out,
                             u32 first)
            : source_(arguments, group, out, first), arguments_(arguments),
              error_(error_at(arguments, out, 8 * static_cast<i64>(first))) {}

        OPFORGE_DEVICE void settle() {
            source_.settle();
            asm("" : "+l"(error_));
            __builtin_assume(__isGlobal(error_));
        }
        OPFORGE_DEVICE void load(const BatchPlace& place, Loaded (&loaded)[kBatch]) const {
            if (kErrorFirst) {
                load_error(place, loaded);
            }
            typename Source::Loaded values[kBatch] = {};
            source_.load(place, values);
            if (!kErrorFirst) {
                load_error(place, loaded);
            }
#pragma unroll
            for (int i = 0; i < kBatch; ++i) {
                loaded[i].values = values[i].values;
                loaded[i].values.add(loaded[i].error);
            }
        }
        OPFORGE_DEVICE void keep(const BatchPlace& place, u32 i, const Loaded& loaded,
                                 const float (&decoded)[8]) const {
            store_octet<Format>(at(place, i), next_error(arguments_, loaded, decoded), 8, true);
        }

        OPFORGE_DEVICE const uint4* vector(u32 octet, u32 i) const {
            return i < Source::kVectors ? source_.vector(octet, i)
                                        : reinterpret_cast<const uint4*>(error_ + 8 * octet) +
                                              (i - Source::kVectors);
        }

    private:
        OPFORGE_DEVICE void load_error(const BatchPlace& place, Loaded (&loaded)[kBatch]) const {
#pragma unroll
            for (u32 i = 0; i < kBatch; ++i) {
                if (place.has(i / kRun)) {
                    loaded[i].error = load_octet<Format>(at(place, i), 8, true);
                }
            }
        }
        OPFORGE_DEVICE Raw* at(const BatchPlace& place, u32 i) const {
            return error_ + 8 * (place.at(i / kRun) + i % kRun);
        }
        typename Source::Share source_;
        const kernels::QuantizeArguments& arguments_;
        Raw* error_;
    };

    static OPFORGE_DEVICE Loaded of_vectors(const uint4* vectors) {
        Loaded loaded;
        loaded.values = Source::of_vectors(vectors).values;
        loaded.error = Octet<Format>::of_vectors(vectors + Source::kVectors);
        loaded.values.add(loaded.error);
        return loaded;
    }
    static OPFORGE_DEVICE Loaded load_any(const kernels::QuantizeArguments& arguments, i64 group,
                                          i64 out, i64 place, u32 count) {
        Loaded loaded;
        loaded.error = load_octet<Format>(error_at(arguments, out, place), count,
                                          arguments.launch.aligned != 0);
        loaded.values = Source::load_any(arguments, group, out, place, count).values;
        loaded.values.add(loaded.error);
        return loaded;
    }
    static OPFORGE_DEVICE void keep_any(const kernels::QuantizeArguments& arguments, i64 out,
                                        i64 place, u32 count, const Loaded& loaded,
                                        const float (&decoded)[8]) {
        store_octet<Format>(error_at(arguments, out, place), next_error(arguments, loaded, decoded),
                            count, arguments.launch.aligned != 0);
    }

private:
    static OPFORGE_DEVICE Octet<Format> next_error(const kernels::QuantizeArguments& arguments,
                                                   const Loaded& loaded,
                                                   const float (&decoded)[8]) {
        float values[8];
        float error[8];
        float rounded[8];
        loaded.values.widen(values);
        loaded.error.widen(error);
        Octet<Format>::narrow(decoded).widen(rounded);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            error[i] = __fmaf_rn(arguments.err_keep, values[i] - rounded[i],
                                 arguments.err_beta * error[i]);
        }
        return Octet<Format>::narrow(error);
    }
    static OPFORGE_DEVICE Raw* error_at(const kernels::QuantizeArguments& arguments, i64 out,
                                        i64 place) {
        return static_cast<Raw*>(arguments.error) + out * arguments.launch.group_size + place;
    }
};

}  // namespace opforge
