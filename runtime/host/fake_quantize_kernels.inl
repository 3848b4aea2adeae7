// The inner loops of fake quantization on the host, included once for each instruction set with
//   OPFORGE_HOST_KERNELS      name of the table to define
//   OPFORGE_HOST_INSTRUCTIONS its instruction set, as text
// Rules: vector_math.inl. Arithmetic: contract, 1.1 and 3.

#include "fake_quantize_kernels.hpp"
#include "vector_math.inl"

#include "range.inl"

#include "group_codec.inl"

namespace opforge::runtime::host {
namespace {

float round_half_up(float v) {
    const float q = round_half_even(v);
    return q + (v - q == 0.5F ? 1.0F : 0.0F);
}

template <class Element, bool kAsymmetric>
struct Loops {
    using Raw = typename Element::Raw;

    static RangeKeys measure(const FakeQuantizeTask& task, i64 first, i64 count) {
        return measure_elements<Element, kAsymmetric>(static_cast<const Raw*>(task.input) + first,
                                                      count);
    }

    template <bool kStochastic>
    static void apply_with(const FakeQuantizeTask& task, const GroupCodec& by, i64 first, i64 count) {
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
        const GroupCodec by =
            group_codec<Element, kAsymmetric>(static_cast<double>(task.levels()), range);
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
    return with_element(task.dtype, [&](auto element) {
        using Element = decltype(element);
        return task.asymmetric ? act(Loops<Element, true>{}) : act(Loops<Element, false>{});
    });
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
