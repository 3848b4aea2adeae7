// The inner loops of the ops with codes on the host, included once for each instruction set with
//   OPFORGE_HOST_KERNELS      name of the table to define
//   OPFORGE_HOST_INSTRUCTIONS its instruction set, as text
// Rules: vector_math.inl. Arithmetic: contract, 1.1, 4, 7 and 8. Every source becomes float32
// values in a buffer; what follows does not know where they came from.

#include "quantize_kernels.hpp"
#include "vector_math.inl"

#include "packing.inl"
#include "range.inl"

#include "dequantize_kernels.inl"

namespace opforge::runtime::host {
namespace {

/// Groups up to this size are computed once and kept between measuring and encoding, where a value
/// costs more than widening the input. 32 KiB, within a core's first cache or just beyond.
constexpr int kKept = 8192;

int chunk_at(i64 done, i64 count) {
    return static_cast<int>(count - done < kChunk ? count - done : kChunk);
}

/// Where input group `group` goes. Contract, section 7.
i64 output_group(const Swizzle& swizzle, i64 group) {
    if (swizzle.contiguous == 0) {
        return group;
    }
    const i64 within = group % swizzle.contiguous;
    const i64 slice = group / swizzle.contiguous % swizzle.pipeline_size;
    const i64 partition = group / swizzle.contiguous / swizzle.pipeline_size;
    const i64 place = slice * swizzle.nodes * swizzle.devices_per_node +
                      partition % swizzle.devices_per_node * swizzle.nodes +
                      partition / swizzle.devices_per_node;
    return place * swizzle.contiguous + within;
}

/// What encodes the elements of one group, and decodes them again. A poisoned group's are NaN, so
/// that its codes become 0 as every NaN's does.
struct Codec {
    float scale = 1;
    float step = 1;
    float offset = 0;
};

Codec make_codec(RangeKeys range, bool asymmetric, int bits) {
    constexpr float kLargest = 3.402823466e+38F;
    const float nan = as_float(0x7fc00000U);
    const auto levels = static_cast<float>(1 << bits);
    Codec result;
    float width = 0;
    bool finite = true;
    if (asymmetric) {
        const float low = value_of<Fp32>(range.low);
        const float high = value_of<Fp32>(range.high);
        const float sum = high + low;
        width = high - low;
        finite = width <= kLargest && __builtin_fabsf(sum) <= kLargest;
        result.offset = finite ? sum / 2.0F : nan;
    } else {
        width = 2.0F * as_float(range.high);
        finite = width <= kLargest;
    }
    const float scale = width == 0 ? 1.0F : levels / width;
    result.scale = finite ? scale : nan;
    result.step = finite ? 1.0F / scale : nan;
    return result;
}

void write_record(float* params, bool asymmetric, i64 group, const Codec& by) {
    if (asymmetric) {
        params[2 * group] = by.step;
        params[2 * group + 1] = by.offset;
    } else {
        params[group] = by.step;
    }
}

template <bool kAsymmetric, bool kStochastic>
void encode(const float* values, const float* units, int size, const Codec& by, int bits,
            std::int8_t* codes) {
    const float code_min = -static_cast<float>(1 << (bits - 1));
    const float code_max = -code_min - 1.0F;
    for (int i = 0; i < size; ++i) {
        const float v = kAsymmetric ? (values[i] - by.offset) * by.scale : values[i] * by.scale;
        float q = 0;
        if constexpr (kStochastic) {
            const float t = round_down(v);
            q = t + (units[i] < v - t ? 1.0F : 0.0F);
        } else {
            q = round_half_even(v);
        }
        q = clamp(q, code_min, code_max);
        codes[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(q == q ? q : 0.0F));
    }
}

/// `first`: place of values[0] in the tensor, which picks its random number.
void encode(const QuantizeTask& task, const float* values, i64 first, int size, const Codec& by,
            std::int8_t* codes) {
    if (task.stochastic) {
        float units[kChunk];
        random_units(task.random, task.random.offset + static_cast<u64>(first), size, units);
        task.asymmetric ? encode<true, true>(values, units, size, by, task.bits, codes)
                        : encode<false, true>(values, units, size, by, task.bits, codes);
    } else {
        task.asymmetric ? encode<true, false>(values, nullptr, size, by, task.bits, codes)
                        : encode<false, false>(values, nullptr, size, by, task.bits, codes);
    }
}

/// The loops that know the working dtype. `in` and `out`: an element's place in the input's and in
/// the output's order.
template <class Element>
struct QuantizeLoops {
    using Raw = typename Element::Raw;

    static void load_sums(const ReductionInput& from, int bits, bool asymmetric, i64 first,
                          int size, float* sums) {
        const u64 device_bytes = packed_bytes(static_cast<u64>(from.elements), bits);
        const i64 device_params = from.groups * (asymmetric ? 2 : 1);
        float values[kChunk];
        for (int i = 0; i < size; ++i) {
            sums[i] = 0;
        }
        for (i64 device = 0; device < from.devices; ++device) {
            decode({from.codes + static_cast<u64>(device) * device_bytes,
                    from.params + device * device_params, from.group_size, bits, asymmetric},
                   first, size, values);
            for (int i = 0; i < size; ++i) {
                sums[i] = Element::round(sums[i] + Element::round(values[i]));
            }
        }
    }

    static void load(const QuantizeTask& task, i64 in, i64 out, int size, float* values) {
        if (task.reduction.codes != nullptr) {
            load_sums(task.reduction, task.bits, task.asymmetric, in, size, values);
        } else {
            const Raw* input = static_cast<const Raw*>(task.input) + in;
            for (int i = 0; i < size; ++i) {
                values[i] = Element::widen(input[i]);
            }
        }
        if (task.error != nullptr) {
            const Raw* error = static_cast<const Raw*>(task.error) + out;
            for (int i = 0; i < size; ++i) {
                values[i] = Element::round(values[i] + Element::widen(error[i]));
            }
        }
    }

    template <bool kAsymmetric>
    static void update_error(const QuantizeTask& task, const Codec& by, const float* values,
                             const std::int8_t* codes, i64 out, int size) {
        const float beta = task.err_beta;
        const float rest = 1.0F - beta;
        Raw* error = static_cast<Raw*>(task.error) + out;
        Raw updated[kChunk];
        for (int i = 0; i < size; ++i) {
            const auto q = static_cast<float>(codes[i]);
            const float decoded =
                Element::round(kAsymmetric ? __builtin_fmaf(q, by.step, by.offset) : q * by.step);
            const float dropped = values[i] - decoded;
            updated[i] =
                Element::narrow(__builtin_fmaf(rest, dropped, beta * Element::widen(error[i])));
        }
        __builtin_memcpy(error, updated, sizeof(Raw) * static_cast<u64>(size));
    }

    template <bool kAsymmetric>
    static RangeKeys measure_with(const QuantizeTask& task, i64 in, i64 out, i64 count,
                                  float* kept) {
        if (task.reduction.codes == nullptr && task.error == nullptr) {
            // In the input's own width, several times as fast.
            const RangeKeys range = measure_elements<Element, kAsymmetric>(
                static_cast<const Raw*>(task.input) + in, count);
            if constexpr (kAsymmetric) {
                return {key_of<Fp32>(as_bits(value_of<Element>(range.low))),
                        key_of<Fp32>(as_bits(value_of<Element>(range.high)))};
            }
            return {0, as_bits(Element::widen(static_cast<Raw>(range.high)))};
        }
        RangeKeys range = {~u32{0}, 0};
        float buffer[kChunk];
        for (i64 done = 0; done < count; done += kChunk) {
            const int size = chunk_at(done, count);
            float* values = kept != nullptr ? kept + done : buffer;
            load(task, in + done, out + done, size, values);
            const RangeKeys part = measure_elements<Fp32, kAsymmetric>(values, size);
            range.low = part.low < range.low ? part.low : range.low;
            range.high = part.high > range.high ? part.high : range.high;
        }
        return range;
    }

    /// kept: null, or `count` floats that take the values, unless they are cheap to read again.
    static RangeKeys measure(const QuantizeTask& task, i64 group, i64 within, i64 count,
                             float* kept) {
        const i64 in = group * task.group_size + within;
        const i64 out = output_group(task.swizzle, group) * task.group_size + within;
        return task.asymmetric ? measure_with<true>(task, in, out, count, kept)
                               : measure_with<false>(task, in, out, count, kept);
    }

    /// kept: null, or the slice's values.
    static void apply(const QuantizeTask& task, RangeKeys range, i64 group, i64 within, i64 count,
                      const float* kept) {
        const Codec by = make_codec(range, task.asymmetric, task.bits);
        const i64 target = output_group(task.swizzle, group);
        if (within == 0) {
            write_record(task.params, task.asymmetric, target, by);
        }
        float buffer[kChunk];
        std::int8_t codes[kChunk];
        for (i64 done = 0; done < count; done += kChunk) {
            const int size = chunk_at(done, count);
            const i64 in = group * task.group_size + within + done;
            const i64 out = target * task.group_size + within + done;
            const float* values = kept != nullptr ? kept + done : buffer;
            if (kept == nullptr) {
                load(task, in, out, size, buffer);
            }
            encode(task, values, in, size, by, codes);
            pack(codes, size, task.bits,
                 task.codes + packed_bytes(static_cast<u64>(out), task.bits));
            if (task.error != nullptr) {
                task.asymmetric ? update_error<true>(task, by, values, codes, out, size)
                                : update_error<false>(task, by, values, codes, out, size);
            }
        }
    }

    static void groups(const QuantizeTask& task, i64 begin, i64 end) {
        float buffer[kKept];
        const bool keeps =
            task.group_size <= kKept && (task.reduction.codes != nullptr || task.error != nullptr);
        float* kept = keeps ? buffer : nullptr;
        for (i64 group = begin; group < end; ++group) {
            const RangeKeys range = measure(task, group, 0, task.group_size, kept);
            apply(task, range, group, 0, task.group_size, kept);
        }
    }
};

void run_quantize(const QuantizeTask& task, i64 begin, i64 end) {
    with_element(task.dtype,
                 [&](auto element) { QuantizeLoops<decltype(element)>::groups(task, begin, end); });
}
RangeKeys run_measure(const QuantizeTask& task, i64 group, i64 within, i64 count) {
    return with_element(task.dtype, [&](auto element) {
        return QuantizeLoops<decltype(element)>::measure(task, group, within, count, nullptr);
    });
}
void run_apply(const QuantizeTask& task, RangeKeys range, i64 group, i64 within, i64 count) {
    with_element(task.dtype, [&](auto element) {
        QuantizeLoops<decltype(element)>::apply(task, range, group, within, count, nullptr);
    });
}

}  // namespace

const QuantizeKernels OPFORGE_HOST_KERNELS = {
    OPFORGE_HOST_INSTRUCTIONS,  run_quantize, run_measure, run_apply, run_dequantize,
    run_dequantize_experimental};

}  // namespace opforge::runtime::host
