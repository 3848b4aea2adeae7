// Fake quantization: quantizes and at once dequantizes each group of a tensor, in place or into
// another tensor. One program for each element format and set of flags, by defines:
//   OPFORGE_PROGRAM     prefix of the kernels' names, e.g. ds_sr_quantize_asym_fp16
//   OPFORGE_ELEMENT     0: fp16, 1: bf16, 2: fp32
//   OPFORGE_ASYMMETRIC  0: range [-m, m], 1: range [min, max]
//   OPFORGE_STOCHASTIC  0: nearest, 1: stochastic rounding
// Kernels, all with one FakeQuantizeArguments by value:
//   <program>_groups    `lanes` lanes a group, many groups a block; grid strides over the groups
//   <program>_block     one block a group; grid strides over the groups
//   <program>_range     ranges of slices of groups, then
//   <program>_apply     the slices: for groups too large for one block
// Any element alignment, any group size, 64-bit counts. Formulas: contract, sections 1.1 and 3.
#include "opforge/kernels/element.cuh"
#include "opforge/kernels/fake_quantize_arguments.cuh"
#include "opforge/kernels/philox.cuh"
#include "opforge/kernels/range.cuh"
#include "opforge/kernels/rounding.cuh"
#include "opforge/kernels/types.cuh"
#include "opforge/kernels/vector_access.cuh"

#define OPFORGE_PASTE_(a, b) a##_##b
#define OPFORGE_PASTE(a, b) OPFORGE_PASTE_(a, b)
// extern "C": the cubin's name is the manifest's name, so a warm start demangles nothing.
#define OPFORGE_KERNEL(suffix, threads)                                                            \
    extern "C" __global__ void __launch_bounds__(threads) OPFORGE_PASTE(OPFORGE_PROGRAM, suffix)

namespace opforge {
namespace {

using kernels::FakeQuantizeArguments;

#if OPFORGE_ELEMENT == 0
using Element = Fp16;
#elif OPFORGE_ELEMENT == 1
using Element = Bf16;
#else
using Element = Fp32;
#endif
using Raw = Element::Raw;
using Elements = Vector<Raw>;

constexpr bool kStochastic = OPFORGE_STOCHASTIC != 0;

#if OPFORGE_ASYMMETRIC
using Range = ExtremaRange<Element>;
#else
using Range = MagnitudeRange<Element>;
#endif

constexpr u32 kBlockThreads = 1024;  // most that `block`, `range` and `apply` are launched with
constexpr u32 kGroupsThreads = 256;  // that `groups` is launched with
constexpr int kHeldVectors =
    4;  // a thread keeps in registers between finding the range and using it

OPFORGE_DEVICE bool finite(float value) {
    return fabsf(value) <= 3.402823466e+38f;
}

/// What turns an element of one group into its quantized self. A poisoned group has NaN factors:
/// every output is NaN.
struct GroupCodec {
#if OPFORGE_ASYMMETRIC
    float step;
    float inverse;
    float low;

    OPFORGE_DEVICE GroupCodec(const Range& range, const FakeQuantizeArguments& arguments) {
        low = range.lowest();
        const float width = range.highest() - low;
        step = static_cast<float>((static_cast<double>(width) + 1e-5) /
                                  static_cast<double>(arguments.levels));
        inverse = 1.0f / step;
        if (!finite(width)) {
            step = __uint_as_float(0x7fffffffu);
        }
    }
    OPFORGE_DEVICE float position(float x) const {
        return (x - low) * inverse;
    }
    OPFORGE_DEVICE float nearest(float v, const FakeQuantizeArguments&) const {
        return round_half_up(v);
    }
    OPFORGE_DEVICE float decode(float q) const {
        return __fmaf_rn(q, step, low);
    }
#else
    float scale;
    float inverse;

    OPFORGE_DEVICE GroupCodec(const Range& range, const FakeQuantizeArguments& arguments) {
        const float width = 2.0f * range.magnitude();
        scale = static_cast<float>(static_cast<double>(arguments.levels) /
                                   (static_cast<double>(width) + 1e-5));
        inverse = 1.0f / scale;
        if (!finite(width)) {
            inverse = __uint_as_float(0x7fffffffu);
        }
    }
    OPFORGE_DEVICE float position(float x) const {
        return x * scale;
    }
    OPFORGE_DEVICE float nearest(float v, const FakeQuantizeArguments& arguments) const {
        return clamp(round_half_even(v), arguments.code_min, arguments.code_max);
    }
    OPFORGE_DEVICE float decode(float q) const {
        return q * inverse;
    }
#endif

    OPFORGE_DEVICE Raw nearest_raw(u32 raw, const FakeQuantizeArguments& arguments) const {
        return Element::narrow(decode(nearest(position(Element::widen(raw)), arguments)));
    }
    OPFORGE_DEVICE Raw stochastic_raw(u32 raw, float u,
                                      const FakeQuantizeArguments& arguments) const {
        const float q = round_stochastic(position(Element::widen(raw)), u);
        return Element::narrow(decode(clamp(q, arguments.code_min, arguments.code_max)));
    }
};

struct Random {
    u64 seed;
    u64 offset;

    OPFORGE_DEVICE explicit Random(const FakeQuantizeArguments& arguments)
        : seed(arguments.seed), offset(arguments.offset) {
        if (kStochastic && arguments.device_random != nullptr) {
            seed = arguments.device_random[0];
            offset = arguments.device_random[1];
        }
    }
};

/// `index` is the element's place in the whole tensor.
OPFORGE_DEVICE Raw apply_one(Raw raw, i64 index, const GroupCodec& codec, const Random& random,
                             const FakeQuantizeArguments& arguments) {
    if (kStochastic) {
        return codec.stochastic_raw(
            raw, random_unit(random.seed, random.offset + static_cast<u64>(index)), arguments);
    }
    return codec.nearest_raw(raw, arguments);
}

OPFORGE_DEVICE Elements apply_vector(const Elements& in, i64 index, const GroupCodec& codec,
                                     const Random& random, const FakeQuantizeArguments& arguments) {
    Elements out;
    if (kStochastic) {
        float units[Elements::kCount];
        random_units(random.seed, random.offset + static_cast<u64>(index), units);
#pragma unroll
        for (int i = 0; i < Elements::kCount; ++i) {
            out.raw[i] = codec.stochastic_raw(in.raw[i], units[i], arguments);
        }
    } else {
#pragma unroll
        for (int i = 0; i < Elements::kCount; ++i) {
            out.raw[i] = codec.nearest_raw(in.raw[i], arguments);
        }
    }
    return out;
}

OPFORGE_DEVICE void include_vector(Range& range, const Elements& vector) {
#pragma unroll
    for (int i = 0; i < Elements::kCount; ++i) {
        range.include(vector.raw[i]);
    }
}

/// A run of elements that threads `thread` of `threads` share: what stands before the first whole
/// vector, the vectors, what is left. The first kHeldVectors vectors of each thread stay in
/// registers from measure() to apply(); the rest is read again, from L1 or L2 where it still is.
class SharedRun {
public:
    OPFORGE_DEVICE SharedRun(const Raw* input, Raw* output, i64 count, u32 thread, u32 threads)
        : input_(input), output_(output), count_(count), run_(split_run(input, output, count)),
          thread_(thread), threads_(threads) {}

    OPFORGE_DEVICE Range measure() {
        Range range = Range::empty();
        for (i64 i = thread_; i < run_.head; i += threads_) {
            range.include(input_[i]);
        }
#pragma unroll
        for (int k = 0; k < kHeldVectors; ++k) {
            const i64 v = thread_ + static_cast<i64>(k) * threads_;
            if (v < run_.vectors) {
                held_[k] = load_vector(input_ + place(v));
                include_vector(range, held_[k]);
            }
        }
        for (i64 v = thread_ + static_cast<i64>(kHeldVectors) * threads_; v < run_.vectors;
             v += threads_) {
            include_vector(range, load_vector(input_ + place(v)));
        }
        for (i64 i = place(run_.vectors) + thread_; i < count_; i += threads_) {
            range.include(input_[i]);
        }
        return range;
    }

    /// `first` is the index of the run's first element in the whole tensor. With kMeasured,
    /// measure() came before.
    template <bool kMeasured>
    OPFORGE_DEVICE void apply(i64 first, const GroupCodec& codec, const Random& random,
                              const FakeQuantizeArguments& arguments) {
        for (i64 i = thread_; i < run_.head; i += threads_) {
            output_[i] = apply_one(input_[i], first + i, codec, random, arguments);
        }
        if (kMeasured) {
#pragma unroll
            for (int k = 0; k < kHeldVectors; ++k) {
                const i64 v = thread_ + static_cast<i64>(k) * threads_;
                if (v < run_.vectors) {
                    store_vector(output_ + place(v), apply_vector(held_[k], first + place(v), codec,
                                                                  random, arguments));
                }
            }
        }
        for (i64 v = thread_ + static_cast<i64>(kMeasured ? kHeldVectors : 0) * threads_;
             v < run_.vectors; v += threads_) {
            const Elements in = load_vector(input_ + place(v));
            store_vector(output_ + place(v),
                         apply_vector(in, first + place(v), codec, random, arguments));
        }
        for (i64 i = place(run_.vectors) + thread_; i < count_; i += threads_) {
            output_[i] = apply_one(input_[i], first + i, codec, random, arguments);
        }
    }

private:
    OPFORGE_DEVICE i64 place(i64 vector) const {
        return run_.head + vector * Elements::kCount;
    }

    const Raw* input_;
    Raw* output_;
    i64 count_;
    Run run_;
    u32 thread_;
    u32 threads_;
    Elements held_[kHeldVectors];
};

OPFORGE_DEVICE const Raw* input_of(const FakeQuantizeArguments& arguments) {
    return static_cast<const Raw*>(arguments.input);
}
OPFORGE_DEVICE Raw* output_of(const FakeQuantizeArguments& arguments) {
    return static_cast<Raw*>(arguments.output);
}

}  // namespace

// Launch: block = kGroupsThreads, no dynamic shared memory.
OPFORGE_KERNEL(groups, kGroupsThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    const u32 lane = threadIdx.x % arguments.lanes;
    const i64 groups_a_block = kGroupsThreads / arguments.lanes;
    const Random random(arguments);
    // The bound is the block's, not the thread's: every lane must reach the shuffles.
    for (i64 base = blockIdx.x * groups_a_block; base < arguments.groups;
         base += gridDim.x * groups_a_block) {
        const i64 group = base + threadIdx.x / arguments.lanes;
        const i64 first = group * arguments.group_size;
        const i64 count = group < arguments.groups ? arguments.group_size : 0;
        SharedRun run(input_of(arguments) + (count > 0 ? first : 0),
                      output_of(arguments) + (count > 0 ? first : 0), count, lane, arguments.lanes);
        const Range range = reduce_lanes(run.measure(), arguments.lanes);
        if (count > 0) {
            run.apply<true>(first, GroupCodec(range, arguments), random, arguments);
        }
    }
}

// Launch: block = a multiple of 32 up to kBlockThreads, no dynamic shared memory.
OPFORGE_KERNEL(block, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const Random random(arguments);
    for (i64 group = blockIdx.x; group < arguments.groups; group += gridDim.x) {
        const i64 first = group * arguments.group_size;
        SharedRun run(input_of(arguments) + first, output_of(arguments) + first,
                      arguments.group_size, threadIdx.x, blockDim.x);
        const Range range = reduce_block(run.measure(), scratch);
        run.apply<true>(first, GroupCodec(range, arguments), random, arguments);
    }
}

// Launch: block = a multiple of 32 up to kBlockThreads; grid strides over groups * slices.
OPFORGE_KERNEL(range, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const i64 tiles = arguments.groups * arguments.slices;
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const i64 within = tile % arguments.slices * arguments.slice_size;
        const i64 first = tile / arguments.slices * arguments.group_size + within;
        const i64 left = arguments.group_size - within;
        const i64 count = left < arguments.slice_size ? left : arguments.slice_size;
        SharedRun run(input_of(arguments) + first, output_of(arguments) + first, count, threadIdx.x,
                      blockDim.x);
        const Range range = reduce_block(run.measure(), scratch);
        if (threadIdx.x == 0) {
            static_cast<Range*>(arguments.ranges)[tile] = range;
        }
    }
}

// Launch: as `range`, after it on the same stream. Goes through the tiles backwards: the last ones
// read are those that L2 still holds.
OPFORGE_KERNEL(apply, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const Random random(arguments);
    const i64 tiles = arguments.groups * arguments.slices;
    for (i64 step = blockIdx.x; step < tiles; step += gridDim.x) {
        const i64 tile = tiles - 1 - step;
        const i64 group = tile / arguments.slices;
        Range range = Range::empty();
        const Range* ranges =
            static_cast<const Range*>(arguments.ranges) + group * arguments.slices;
        for (u32 slice = threadIdx.x; slice < arguments.slices; slice += blockDim.x) {
            range.include(ranges[slice]);
        }
        range = reduce_block(range, scratch);

        const i64 within = tile % arguments.slices * arguments.slice_size;
        const i64 first = group * arguments.group_size + within;
        const i64 left = arguments.group_size - within;
        const i64 count = left < arguments.slice_size ? left : arguments.slice_size;
        SharedRun run(input_of(arguments) + first, output_of(arguments) + first, count, threadIdx.x,
                      blockDim.x);
        run.apply<false>(first, GroupCodec(range, arguments), random, arguments);
    }
}

}  // namespace opforge
