// Fake quantization: quantizes and at once dequantizes each group of a tensor, in place or into
// another tensor. One program for each element format and set of flags, by defines:
//   OPFORGE_PROGRAM     prefix of the kernels' names, e.g. ds_sr_quantize_asym_fp16
//   OPFORGE_ELEMENT     0: fp16, 1: bf16, 2: fp32
//   OPFORGE_ASYMMETRIC  0: range [-m, m], 1: range [min, max]
//   OPFORGE_STOCHASTIC  0: nearest, 1: stochastic rounding
//   OPFORGE_KERNELS     0, 1, 2: which of the kernels below
// Kernels, each with one FakeQuantizeArguments by value:
//   0: <program>_groups  `lanes` lanes a group, many groups a block; grid strides over the groups
//   1: <program>_block   one block a group; grid strides over the groups
//   2: <program>_range   ranges of slices of groups, then
//      <program>_apply   the slices: for groups too large for one block
// A call needs one of the three, so they are programs of their own: the first call compiles a
// third. Any element alignment, any group size, 64-bit counts. Formulas: contract, sections 1.1
// and 3.
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
using Run = ChunkedRun<Raw>;
using Elements = Run::Chunk;

constexpr bool kStochastic = OPFORGE_STOCHASTIC != 0;

#if OPFORGE_ASYMMETRIC
using Range = ExtremaRange<Element>;
#else
using Range = MagnitudeRange<Element>;
#endif

// Most threads that `block`, `range` and `apply` are launched with, and those of `groups`.
constexpr u32 kBlockThreads = 1024;
constexpr u32 kGroupsThreads = 256;

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

/// `index` is the place of the first element in the whole tensor.
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

/// The share of one of `threads` threads in finding a run's range, and in applying it. The elements
/// are read twice, the second time from L1 or L2: loops with one small body compile in half the
/// time of loops that keep elements in registers between the two.
OPFORGE_DEVICE Range measure(const Run& run, u32 thread, u32 threads) {
    Range range = Range::empty();
#pragma unroll 1
    for (i64 chunk = thread; chunk < run.chunks(); chunk += threads) {
        include_vector(range, run.load(chunk));
    }
    return range;
}

/// `first` is the place of the run's first element in the whole tensor.
OPFORGE_DEVICE void apply(const Run& run, u32 thread, u32 threads, i64 first,
                          const GroupCodec& codec, const Random& random,
                          const FakeQuantizeArguments& arguments) {
#pragma unroll 1
    for (i64 chunk = thread; chunk < run.chunks(); chunk += threads) {
        run.store(chunk, apply_vector(run.load(chunk), first + run.place(chunk), codec, random,
                                      arguments));
    }
}

/// Slice `tile` of the tensor: slices of one group follow each other.
struct Slice {
    i64 group;
    i64 first;  // place in the whole tensor
    i64 count;

    OPFORGE_DEVICE Slice(i64 tile, const FakeQuantizeArguments& arguments) {
        group = tile / arguments.slices;
        const i64 within = (tile - group * arguments.slices) * arguments.slice_size;
        first = group * arguments.group_size + within;
        const i64 left = arguments.group_size - within;
        count = left < arguments.slice_size ? left : arguments.slice_size;
    }
};

OPFORGE_DEVICE Run run_of(const FakeQuantizeArguments& arguments, i64 first, i64 count) {
    return Run(static_cast<const Raw*>(arguments.input) + first,
               static_cast<Raw*>(arguments.output) + first, count);
}

}  // namespace

#if OPFORGE_KERNELS == 0

// Launch: block = kGroupsThreads, no dynamic shared memory.
OPFORGE_KERNEL(groups, kGroupsThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    const u32 lane = threadIdx.x % arguments.lanes;
    const u32 groups_a_block = kGroupsThreads / arguments.lanes;
    const Random random(arguments);
    // The bound is the block's, not the thread's: every lane must reach the shuffles.
    const i64 stride = static_cast<i64>(gridDim.x) * groups_a_block;
    for (i64 base = static_cast<i64>(blockIdx.x) * groups_a_block; base < arguments.groups;
         base += stride) {
        const i64 group = base + threadIdx.x / arguments.lanes;
        const bool mine = group < arguments.groups;
        const i64 first = mine ? group * arguments.group_size : 0;
        const Run run = run_of(arguments, first, mine ? arguments.group_size : 0);
        const Range range = reduce_lanes(measure(run, lane, arguments.lanes), arguments.lanes);
        apply(run, lane, arguments.lanes, first, GroupCodec(range, arguments), random, arguments);
    }
}

#elif OPFORGE_KERNELS == 1

// Launch: block = a multiple of 32 up to kBlockThreads, no dynamic shared memory.
OPFORGE_KERNEL(block, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const Random random(arguments);
    for (i64 group = blockIdx.x; group < arguments.groups; group += gridDim.x) {
        const i64 first = group * arguments.group_size;
        const Run run = run_of(arguments, first, arguments.group_size);
        const Range range = reduce_block(measure(run, threadIdx.x, blockDim.x), scratch);
        apply(run, threadIdx.x, blockDim.x, first, GroupCodec(range, arguments), random, arguments);
    }
}

#else

// Launch: block = a multiple of 32 up to kBlockThreads; grid strides over groups * slices.
OPFORGE_KERNEL(range, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const i64 tiles = arguments.groups * arguments.slices;
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const Slice slice(tile, arguments);
        const Run run = run_of(arguments, slice.first, slice.count);
        const Range range = reduce_block(measure(run, threadIdx.x, blockDim.x), scratch);
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
        const Slice slice(tiles - 1 - step, arguments);
        const Range* ranges =
            static_cast<const Range*>(arguments.ranges) + slice.group * arguments.slices;
        Range range = Range::empty();
#pragma unroll 1
        for (u32 i = threadIdx.x; i < arguments.slices; i += blockDim.x) {
            range.include(ranges[i]);
        }
        range = reduce_block(range, scratch);
        apply(run_of(arguments, slice.first, slice.count), threadIdx.x, blockDim.x, slice.first,
              GroupCodec(range, arguments), random, arguments);
    }
}

#endif

}  // namespace opforge
