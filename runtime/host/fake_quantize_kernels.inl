// The inner loops of fake quantization on the host, included once for each instruction set with
//   OPFORGE_HOST_KERNELS      name of the table to define
//   OPFORGE_HOST_INSTRUCTIONS its instruction set, as text
// Everything is in an unnamed namespace and nothing inline of the standard library is used: a
// function that another translation unit may share must not be compiled here for a machine that
// lacks the instructions. Plain loops over small buffers, without branches, for the compiler to
// vectorise. Arithmetic: contract, 1.1 and 3; needs IEEE float, no contraction. Float tricks are
// those of kernel_sources: rounding.cuh.

#include "fake_quantize_kernels.hpp"

namespace opforge::runtime::host {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;

constexpr int kChunk = 256;  // elements a buffer; a multiple of 4

float as_float(u32 bits) {
    return __builtin_bit_cast(float, bits);
}
u32 as_bits(float value) {
    return __builtin_bit_cast(u32, value);
}

struct Fp16 {
    using Raw = u16;
    static constexpr u16 kSign = 0x8000;
    static float widen(u16 raw) {
        const u32 exponent = (raw >> 10U) & 31U;
        const u32 mantissa = raw & 0x3ffU;
        const u32 sign = static_cast<u32>(raw & 0x8000U) << 16U;
        const u32 normal = ((exponent + 112U) << 23U) | (mantissa << 13U);
        const u32 special = 0x7f800000U | (mantissa << 13U);
        const u32 subnormal =
            as_bits(static_cast<float>(static_cast<std::int32_t>(mantissa)) * 0x1p-24F);
        const u32 magnitude = exponent == 0 ? subnormal : (exponent == 31 ? special : normal);
        return as_float(magnitude | sign);
    }
    static u16 narrow(float value) {
        const u32 bits = as_bits(value);
        const u32 magnitude = bits & 0x7fffffffU;
        const u32 odd = (magnitude >> 13U) & 1U;
        const u32 normal = (magnitude - (112U << 23U) + 0xfffU + odd) >> 13U;
        // Below 2^-14: adding 0.5 moves the value's last fp16 bit to the sum's last bit, and the
        // addition rounds.
        const u32 subnormal = as_bits(as_float(magnitude) + 0.5F) - 0x3f000000U;
        const u32 special = magnitude > 0x7f800000U ? 0x7e00U : 0x7c00U;
        const u32 finite = magnitude < 0x38800000U ? subnormal : normal;
        const u32 result = magnitude >= 0x47800000U ? special : finite;
        return static_cast<u16>(result | ((bits >> 16U) & 0x8000U));
    }
};

struct Bf16 {
    using Raw = u16;
    static constexpr u16 kSign = 0x8000;
    static float widen(u16 raw) { return as_float(static_cast<u32>(raw) << 16U); }
    static u16 narrow(float value) {
        const u32 bits = as_bits(value);
        const u32 rounded = (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
        return static_cast<u16>((bits & 0x7fffffffU) > 0x7f800000U ? 0x7fc0U : rounded);
    }
};

struct Fp32 {
    using Raw = u32;
    static constexpr u32 kSign = 0x80000000U;
    static float widen(u32 raw) { return as_float(raw); }
    static u32 narrow(float value) { return as_bits(value); }
};

float round_half_even(float v) {
    constexpr float kShift = 12582912.0F;
    return (v + kShift) - kShift;
}
float round_half_up(float v) {
    const float q = round_half_even(v);
    return q + (v - q == 0.5F ? 1.0F : 0.0F);
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

template <class Element, bool kAsymmetric>
struct Loops {
    using Raw = typename Element::Raw;

    static Raw key(Raw raw) {
        // All ones where negative: inverts the order of the negatives; else only the sign bit:
        // lifts the positives.
        const Raw negative =
            static_cast<Raw>(-static_cast<std::int64_t>((raw & Element::kSign) != 0));
        return static_cast<Raw>(raw ^ (negative | Element::kSign));
    }
    static float value(u32 key) {
        const auto k = static_cast<Raw>(key);
        return Element::widen(
            static_cast<Raw>((k & Element::kSign) != 0 ? k ^ Element::kSign : ~k));
    }

    static RangeKeys measure(const FakeQuantizeTask& task, i64 first, i64 count) {
        const Raw* in = static_cast<const Raw*>(task.input) + first;
        Raw low = static_cast<Raw>(~Raw{0});
        Raw high = 0;
        for (i64 i = 0; i < count; ++i) {
            if constexpr (kAsymmetric) {
                const Raw k = key(in[i]);
                low = k < low ? k : low;
                high = k > high ? k : high;
            } else {
                const Raw magnitude = static_cast<Raw>(in[i] & static_cast<Raw>(~Element::kSign));
                high = magnitude > high ? magnitude : high;
            }
        }
        return {low, high};
    }

    /// What turns an element of one group into its quantized self. A poisoned group has a NaN
    /// factor.
    struct Codec {
        float low = 0;    // asymmetric
        float step = 0;   // asymmetric: step; symmetric: inverse of the scale
        float scale = 0;  // asymmetric: inverse of the step; symmetric: scale
    };
    static Codec codec(const FakeQuantizeTask& task, RangeKeys range) {
        constexpr float kLargest = 3.402823466e+38F;
        const float nan = as_float(0x7fc00000U);
        const auto levels = static_cast<double>(task.levels());
        Codec result;
        if constexpr (kAsymmetric) {
            result.low = value(range.low);
            const float width = value(range.high) - result.low;
            result.step = static_cast<float>((static_cast<double>(width) + 1e-5) / levels);
            result.scale = 1.0F / result.step;
            result.step = __builtin_fabsf(width) <= kLargest ? result.step : nan;
        } else {
            const float width = 2.0F * Element::widen(static_cast<Raw>(range.high));
            result.scale = static_cast<float>(levels / (static_cast<double>(width) + 1e-5));
            result.step = width <= kLargest ? 1.0F / result.scale : nan;
        }
        return result;
    }

    template <bool kStochastic>
    static void apply_with(const FakeQuantizeTask& task, const Codec& by, i64 first, i64 count) {
        const float code_min = task.code_min();
        const float code_max = task.code_max();
        // Through buffers of its own: input and output may be the same memory, which keeps a
        // compiler from vectorising.
        Raw in[kChunk];
        Raw out[kChunk];
        float units[kStochastic ? kChunk : 1];
        for (i64 done = 0; done < count; done += kChunk) {
            const int size = static_cast<int>(count - done < kChunk ? count - done : kChunk);
            const u64 bytes = sizeof(Raw) * static_cast<u64>(size);
            const i64 place = first + done;
            __builtin_memcpy(in, static_cast<const Raw*>(task.input) + place, bytes);
            if constexpr (kStochastic) {
                random_units(task.random, task.random.offset + static_cast<u64>(place), size,
                             units);
            }
            for (int i = 0; i < size; ++i) {
                const float x = Element::widen(in[i]);
                const float v = kAsymmetric ? (x - by.low) * by.scale : x * by.scale;
                float q = 0;
                if constexpr (kStochastic) {
                    const float t = round_down(v);
                    q = clamp(t + (units[i] < v - t ? 1.0F : 0.0F), code_min, code_max);
                } else if constexpr (kAsymmetric) {
                    q = round_half_up(v);
                } else {
                    q = clamp(round_half_even(v), code_min, code_max);
                }
                out[i] =
                    Element::narrow(kAsymmetric ? __builtin_fmaf(q, by.step, by.low) : q * by.step);
            }
            __builtin_memcpy(static_cast<Raw*>(task.output) + place, out, bytes);
        }
    }

    static void apply(const FakeQuantizeTask& task, RangeKeys range, i64 first, i64 count) {
        const Codec by = codec(task, range);
        if (task.stochastic) {
            apply_with<true>(task, by, first, count);
        } else {
            apply_with<false>(task, by, first, count);
        }
    }

    static void groups(const FakeQuantizeTask& task, i64 begin, i64 end) {
        for (i64 group = begin; group < end; ++group) {
            const i64 first = group * task.group_size;
            apply(task, measure(task, first, task.group_size), first, task.group_size);
        }
    }
};

/// Calls `act` with the loops of the task's dtype and range.
template <class Act>
auto with_loops(const FakeQuantizeTask& task, Act act) {
    switch (task.dtype) {
    case Dtype::float16:
        return task.asymmetric ? act(Loops<Fp16, true>{}) : act(Loops<Fp16, false>{});
    case Dtype::bfloat16:
        return task.asymmetric ? act(Loops<Bf16, true>{}) : act(Loops<Bf16, false>{});
    default:
        return task.asymmetric ? act(Loops<Fp32, true>{}) : act(Loops<Fp32, false>{});
    }
}

void run_groups(const FakeQuantizeTask& task, i64 begin, i64 end) {
    with_loops(task, [&](auto loops) { loops.groups(task, begin, end); });
}
RangeKeys run_measure(const FakeQuantizeTask& task, i64 first, i64 count) {
    return with_loops(task, [&](auto loops) { return loops.measure(task, first, count); });
}
void run_apply(const FakeQuantizeTask& task, RangeKeys range, i64 first, i64 count) {
    with_loops(task, [&](auto loops) { loops.apply(task, range, first, count); });
}

}  // namespace

const FakeQuantizeKernels OPFORGE_HOST_KERNELS = {OPFORGE_HOST_INSTRUCTIONS, run_groups,
                                                  run_measure, run_apply};

}  // namespace opforge::runtime::host
