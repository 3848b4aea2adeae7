// The values of a tensor's groups, as they lie in memory: a source, see group_quantize.cuh.
#pragma once

#include "opforge/kernels/batch_place.cuh"
#include "opforge/kernels/octet.cuh"
#include "opforge/kernels/quantize_arguments.cuh"

namespace opforge {

/// kOnce: whether all that the kernel reads is the tensor, once.
template <class Element, bool kOnce>
struct TensorSource {
    using Format = Element;
    using Raw = typename Element::Raw;
    struct Loaded {
        Octet<Element> values;
    };
    static constexpr u32 kBlocks = 3;
    static constexpr bool kFeedback = false;
    static constexpr bool kTwoBits = true;
    static constexpr int kRun = 1;
    static constexpr int kBatch = 2 * Element::kPerWord;  // 64 bytes a thread
    static constexpr u32 kVectors = Octet<Element>::kWords / 4;

    class Share {
    public:
        OPFORGE_DEVICE Share(const kernels::QuantizeArguments& arguments, i64 group, i64, u32 first)
            : from_(values_at(arguments, group, 8 * static_cast<i64>(first))),
              few_bits_(arguments.bits < 8) {}
        OPFORGE_DEVICE void settle() {
            asm("" : "+l"(from_));
            __builtin_assume(__isGlobal(from_));
        }
        OPFORGE_DEVICE void load(const BatchPlace& place, Loaded (&loaded)[kBatch]) const {
            // Where much more is read than written, L1 is in the way (bench/RESULTS.md).
            if constexpr (kOnce && kVectors == 1) {
                if (few_bits_) {
#pragma unroll
                    for (u32 i = 0; i < kBatch; ++i) {
                        if (place.has(i)) {
                            loaded[i].values = load_octet_once<Element>(from_ + 8 * place.at(i));
                        }
                    }
                    return;
                }
            }
#pragma unroll
            for (u32 i = 0; i < kBatch; ++i) {
                if (place.has(i)) {
                    loaded[i].values = load_octet<Element>(from_ + 8 * place.at(i), 8, true);
                }
            }
        }

        OPFORGE_DEVICE const uint4* vector(u32 octet, u32 i) const {
            return reinterpret_cast<const uint4*>(from_ + 8 * octet) + i;
        }

    private:
        const Raw* from_;
        bool few_bits_;
    };

    static OPFORGE_DEVICE Loaded of_vectors(const uint4* vectors) {
        return {Octet<Element>::of_vectors(vectors)};
    }

    static OPFORGE_DEVICE Loaded load_any(const kernels::QuantizeArguments& arguments, i64 group,
                                          i64, i64 place, u32 count) {
        return {load_octet<Element>(values_at(arguments, group, place), count,
                                    arguments.launch.aligned != 0)};
    }

private:
    static OPFORGE_DEVICE const Raw* values_at(const kernels::QuantizeArguments& arguments,
                                               i64 group, i64 place) {
        return static_cast<const Raw*>(arguments.input) + group * arguments.launch.group_size +
               place;
    }
};

}  // namespace opforge
