// Fake quantization: quantizes and at once dequantizes each group of a tensor, in place or into
// another tensor. Defines: program.cuh and
//   OPFORGE_STOCHASTIC  0: nearest, 1: stochastic rounding
//   OPFORGE_KERNELS     0 to 3: which of the kernels below
// Kernels, each with one FakeQuantizeArguments by value:
//   0: <program>_groups  `lanes` lanes a group, many groups a block; aligned tensors only
//   1: <program>_block   one block a group; aligned tensors only
//   2: <program>_any     either, of tensors of any alignment and group size
//   3: <program>_range   ranges of slices of groups, then
//      <program>_apply   the slices: for groups too large for one block; any tensors
// A call needs one of the four, so they are programs of their own: the first call compiles no more
// than it needs, which for aligned tensors is without the code for others. 64-bit counts. Formulas:
// contract, sections 1.1 and 3.
#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/element.cuh"
#include "opforge/kernels/fake_quantize_arguments.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/philox.cuh"
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/range.cuh"
#include "opforge/kernels/rounding.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {
namespace {

using kernels::FakeQuantizeArguments;

using Element = ProgramElement;
using Raw = Element::Raw;
using Elements = Chunk<Element>;
constexpr int kCount = Elements::kCount;

constexpr bool kStochastic = OPFORGE_STOCHASTIC != 0;
constexpr bool kAlignedOnly = OPFORGE_KERNELS < 2;

#if OPFORGE_ASYMMETRIC
using Range = ExtremaRange<Element>;
#else
using Range = MagnitudeRange<Element>;
#endif

// Most threads that `block`, `range` and `apply` are launched with, and those of `groups`.
constexpr u32 kBlockThreads = 1024;
constexpr u32 kGroupsThreads = 256;

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
        if (!is_finite(width)) {
            step = quiet_nan();
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
        if (!is_finite(width)) {
            inverse = quiet_nan();
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

    OPFORGE_DEVICE float fake_quantize(float x, const FakeQuantizeArguments& arguments) const {
        return decode(nearest(position(x), arguments));
    }
    OPFORGE_DEVICE float fake_quantize(float x, float u,
                                       const FakeQuantizeArguments& arguments) const {
        const float q = round_stochastic(position(x), u);
        return decode(clamp(q, arguments.code_min, arguments.code_max));
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
OPFORGE_DEVICE Elements apply_chunk(const Elements& in, i64 index, const GroupCodec& codec,
                                    const Random& random, const FakeQuantizeArguments& arguments) {
    constexpr int kEach = Element::kPerWord;
    float units[kCount];
    if (kStochastic) {
        random_units(random.seed, random.offset + static_cast<u64>(index), units);
    }
    Elements out;
#pragma unroll
    for (int i = 0; i < Elements::kWords; ++i) {
        float values[kEach];
        Element::widen_word(in.word[i], values);
#pragma unroll
        for (int k = 0; k < kEach; ++k) {
            values[k] = kStochastic
                            ? codec.fake_quantize(values[k], units[i * kEach + k], arguments)
                            : codec.fake_quantize(values[k], arguments);
        }
        out.word[i] = Element::narrow_word(values);
    }
    return out;
}

/// The share of one of `lanes` threads in finding a slice's range, and in applying it. The elements
/// are read twice, the second time from L1 or L2: loops with one small body compile in half the
/// time of loops that keep elements in registers between the two.
OPFORGE_DEVICE Range measure(const FakeQuantizeArguments& arguments, const GroupSlice& slice,
                             u32 lane, u32 lanes) {
    const Raw* const input =
        static_cast<const Raw*>(arguments.input) + slice.group * arguments.launch.group_size;
    Range::Collector collector;
#pragma unroll 1
    for (i64 place = slice.begin + kCount * lane; place < slice.end; place += kCount * lanes) {
        const Elements chunk =
            load_chunk<Element>(input + place, 0, count_from(place, slice.end, kCount),
                                kAlignedOnly || arguments.launch.aligned != 0);
#pragma unroll
        for (int i = 0; i < Elements::kWords; ++i) {
            collector.include_word(chunk.word[i]);
        }
    }
    return collector.range();
}

OPFORGE_DEVICE void apply(const FakeQuantizeArguments& arguments, const GroupSlice& slice, u32 lane,
                          u32 lanes, const GroupCodec& codec, const Random& random) {
    const i64 first = slice.group * arguments.launch.group_size;
    const Raw* const input = static_cast<const Raw*>(arguments.input) + first;
    Raw* const output = static_cast<Raw*>(arguments.output) + first;
    const bool aligned = kAlignedOnly || arguments.launch.aligned != 0;
#pragma unroll 1
    for (i64 place = slice.begin + kCount * lane; place < slice.end; place += kCount * lanes) {
        const u32 count = count_from(place, slice.end, kCount);
        const Elements chunk = load_chunk<Element>(input + place, 0, count, aligned);
        store_chunk<Element>(output + place,
                             apply_chunk(chunk, first + place, codec, random, arguments), count,
                             aligned);
    }
}

}  // namespace

/// `lanes` threads a group, many groups a block. `reduce` gives every lane its group's range.
template <class Reduce>
OPFORGE_DEVICE void many_groups(const FakeQuantizeArguments& arguments, Reduce reduce) {
    const kernels::GroupLaunch& launch = arguments.launch;
    const u32 lanes = launch.lanes;
    const u32 sub = threadIdx.x / lanes;
    const u32 lane = threadIdx.x - sub * lanes;
    const u32 groups_a_block = blockDim.x / lanes;
    const Random random(arguments);
    // The bound is the block's, not the thread's: every lane must reach the reduction.
    const i64 stride = static_cast<i64>(gridDim.x) * groups_a_block;
    for (i64 base = static_cast<i64>(blockIdx.x) * groups_a_block; base < launch.groups;
         base += stride) {
        GroupSlice slice = whole_group(base + sub, launch);
        slice.end = slice.group < launch.groups ? slice.end : 0;
        const Range range = reduce(measure(arguments, slice, lane, lanes));
        apply(arguments, slice, lane, lanes, GroupCodec(range, arguments), random);
    }
}

#if OPFORGE_KERNELS == 0

// Launch: block = kGroupsThreads, no dynamic shared memory.
OPFORGE_KERNEL(groups, kGroupsThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    many_groups(arguments,
                [&](const Range& own) { return reduce_lanes(own, arguments.launch.lanes); });
}

#elif OPFORGE_KERNELS == 1

// Launch: block = a multiple of 32 up to kBlockThreads, no dynamic shared memory.
OPFORGE_KERNEL(block, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const Random random(arguments);
    for (i64 group = blockIdx.x; group < arguments.launch.groups; group += gridDim.x) {
        const GroupSlice slice = whole_group(group, arguments.launch);
        const Range range =
            reduce_block(measure(arguments, slice, threadIdx.x, blockDim.x), scratch);
        apply(arguments, slice, threadIdx.x, blockDim.x, GroupCodec(range, arguments), random);
    }
}

#elif OPFORGE_KERNELS == 2

// Launch: as `groups` where `lanes` is at most 32, else as `block`, and `lanes` is the block.
OPFORGE_KERNEL(any, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    many_groups(arguments, [&](const Range& own) {
        return arguments.launch.lanes > 32 ? reduce_block(own, scratch)
                                           : reduce_lanes(own, arguments.launch.lanes);
    });
}

#else

// Launch: block = a multiple of 32 up to kBlockThreads; grid strides over groups * slices.
OPFORGE_KERNEL(range, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    __shared__ Range scratch[32];
    const i64 tiles = arguments.launch.groups * arguments.launch.slices;
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const GroupSlice slice = slice_of(tile, arguments.launch);
        const Range range =
            reduce_block(measure(arguments, slice, threadIdx.x, blockDim.x), scratch);
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
    const i64 slices = arguments.launch.slices;
    const i64 tiles = arguments.launch.groups * slices;
    for (i64 step = blockIdx.x; step < tiles; step += gridDim.x) {
        const GroupSlice slice = slice_of(tiles - 1 - step, arguments.launch);
        const Range* ranges = static_cast<const Range*>(arguments.ranges) + slice.group * slices;
        Range range = Range::empty();
#pragma unroll 1
        for (i64 i = threadIdx.x; i < slices; i += blockDim.x) {
            range.include(ranges[i]);
        }
        range = reduce_block(range, scratch);
        apply(arguments, slice, threadIdx.x, blockDim.x, GroupCodec(range, arguments), random);
    }
}

#endif

}  // namespace opforge
