// Fake quantization: quantizes and at once dequantizes each group of a tensor, in place or into
// another tensor. Defines: program.cuh and
//   OPFORGE_STOCHASTIC  0: nearest, 1: stochastic rounding
//   OPFORGE_KERNELS     0 to 3: which of the kernels below
// Kernels, each with one FakeQuantizeArguments by value:
//   0: <program>_groups  `lanes` lanes a group, many groups a block; aligned tensors only. Nearest
//                        rounding: at most one chunk a lane
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
constexpr bool kMayKeep = OPFORGE_KERNELS == 1;
// Random numbers need the registers: more threads at a time are worth more than a chunk kept.
[[maybe_unused]] constexpr bool kHoldFirst = !kStochastic;

#if OPFORGE_ASYMMETRIC
using Range = ExtremaRange<Element>;
#else
using Range = MagnitudeRange<Element>;
#endif

// Most threads that `block`, `range` and `apply` are launched with, and those of `groups`.
[[maybe_unused]] constexpr u32 kBlockThreads = 1024;
[[maybe_unused]] constexpr u32 kGroupsThreads = 256;

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
        // By a power of two: exact, as the division is.
        step = static_cast<float>((static_cast<double>(width) + 1e-5) *
                                  static_cast<double>(arguments.inverse_levels));
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
        // levels / (width + 1e-5): a power of two changes no digit of a reciprocal, which takes
        // half the code of a division, and the result is far from the ends of the range of double.
        scale = static_cast<float>(static_cast<double>(arguments.levels) *
                                   __drcp_rn(static_cast<double>(width) + 1e-5));
        inverse = 1.0f / scale;
        if (!is_finite(width)) {
            inverse = quiet_nan();
        }
    }
    OPFORGE_DEVICE float position(float x) const {
        return x * scale;
    }
    OPFORGE_DEVICE float nearest(float v, const FakeQuantizeArguments& arguments) const {
        // At most half the levels in magnitude but for a rounding: only the positive end saturates.
        return fminf(round_half_even(v), arguments.code_max);
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

}  // namespace

/// The share of one of `lanes` threads in finding a slice's range, and in applying it. A thread
/// keeps its first chunk between the two; what is beyond is read again, from shared memory where
/// the launch keeps it there, else from L1 or L2. Loops with one small body compile in half the
/// time of loops that keep all elements in registers.
struct ThreadShare {
    Elements first;
    uint4* kept;  // of this thread, `lanes` chunks apart; null: nothing is kept

    OPFORGE_DEVICE Range measure(const FakeQuantizeArguments& arguments, const GroupSlice& slice,
                                 u32 lane, u32 lanes) {
        const Raw* const input =
            static_cast<const Raw*>(arguments.input) + slice.group * arguments.launch.group_size;
        Range::Collector collector;
        const i64 start = slice.begin + kCount * lane;
        uint4* keep = kept;
#pragma unroll 1
        for (i64 place = start; place < slice.end; place += kCount * lanes) {
            const Elements chunk =
                load_chunk<Element>(input + place, 0, count_from(place, slice.end, kCount),
                                    kAlignedOnly || arguments.launch.aligned != 0);
#pragma unroll
            for (int i = 0; i < Elements::kWords; ++i) {
                collector.include_word(chunk.word[i]);
            }
            if (place == start) {
                first = chunk;  // for nothing where it is not held: then it is no code
            } else if (kMayKeep && keep != nullptr) {
                *keep = make_uint4(chunk.word[0], chunk.word[1], chunk.word[2], chunk.word[3]);
                keep += lanes;
            }
        }
        return collector.range();
    }

    /// kHeld: measure() has gone over the same slice.
    template <bool kHeld>
    OPFORGE_DEVICE void apply(const FakeQuantizeArguments& arguments, const GroupSlice& slice,
                              u32 lane, u32 lanes, const GroupCodec& codec,
                              const Random& random) const {
        const i64 begin = slice.group * arguments.launch.group_size;
        const Raw* const input = static_cast<const Raw*>(arguments.input) + begin;
        Raw* const output = static_cast<Raw*>(arguments.output) + begin;
        const bool aligned = kAlignedOnly || arguments.launch.aligned != 0;
        const i64 start = slice.begin + kCount * lane;
        const uint4* keep = kept;
        Elements chunk = first;
#pragma unroll 1
        for (i64 place = start; place < slice.end; place += kCount * lanes) {
            const u32 count = count_from(place, slice.end, kCount);
            if (!kHeld || place != start) {
                const Raw* from = input + place;
                if (kMayKeep && keep != nullptr && place != start) {
                    from = reinterpret_cast<const Raw*>(keep);
                    keep += lanes;
                }
                chunk = load_chunk<Element>(from, 0, count, aligned);
            }
            store_chunk<Element>(output + place,
                                 apply_chunk(chunk, begin + place, codec, random, arguments), count,
                                 aligned);
        }
    }
};

/// `lanes` threads a group, many groups a block. `reduce` gives every lane its group's range.
template <class Reduce>
OPFORGE_DEVICE void many_groups(const FakeQuantizeArguments& arguments, Reduce reduce) {
    const kernels::GroupLaunch& launch = arguments.launch;
    const u32 lanes = launch.lanes;
    const u32 sub = team_of_thread(lanes);
    const u32 lane = threadIdx.x - sub * lanes;
    const u32 groups_a_block = teams_of_block(lanes);
    const Random random(arguments);
    // The bound is the block's, not the thread's: every lane must reach the reduction.
    const i64 stride = static_cast<i64>(gridDim.x) * groups_a_block;
    for (i64 base = static_cast<i64>(blockIdx.x) * groups_a_block; base < launch.groups;
         base += stride) {
        GroupSlice slice = whole_group(base + sub, launch);
        slice.end = slice.group < launch.groups ? slice.end : 0;
        ThreadShare share{};
        const Range range = reduce(share.measure(arguments, slice, lane, lanes));
        share.apply<kHoldFirst>(arguments, slice, lane, lanes, GroupCodec(range, arguments),
                                random);
    }
}

#if OPFORGE_KERNELS == 0 && !OPFORGE_STOCHASTIC

// Launch: block = kGroupsThreads, no dynamic shared memory, grid: every group. A lane has one chunk
// or none, so nothing loops and nothing is read twice: the program that most first calls need
// compiles a fifth faster for it.
OPFORGE_KERNEL(groups, kGroupsThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    const kernels::GroupLaunch& launch = arguments.launch;
    const i64 thread = static_cast<i64>(blockIdx.x) * kGroupsThreads + threadIdx.x;
    const i64 group = thread >> (31 - __clz(static_cast<int>(launch.lanes)));
    const u32 place = kCount * (threadIdx.x & (launch.lanes - 1));
    const bool has_chunk = group < launch.groups && place < static_cast<u32>(launch.group_size);
    const i64 index = group * launch.group_size + place;
    Range::Collector collector;
    Elements chunk{};
    if (has_chunk) {
        chunk =
            load_chunk<Element>(static_cast<const Raw*>(arguments.input) + index, 0, kCount, true);
#pragma unroll
        for (int i = 0; i < Elements::kWords; ++i) {
            collector.include_word(chunk.word[i]);
        }
    }
    const GroupCodec codec(reduce_lanes(collector.range(), launch.lanes), arguments);
    if (has_chunk) {
        store_chunk<Element>(static_cast<Raw*>(arguments.output) + index,
                             apply_chunk(chunk, index, codec, Random(arguments), arguments), kCount,
                             true);
    }
}

#elif OPFORGE_KERNELS == 0

// Launch: block = kGroupsThreads, no dynamic shared memory.
OPFORGE_KERNEL(groups, kGroupsThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    many_groups(arguments,
                [&](const Range& own) { return reduce_lanes(own, arguments.launch.lanes); });
}

#elif OPFORGE_KERNELS == 1

// Launch: block = a multiple of 32 up to kBlockThreads; dynamic shared memory for what is beyond a
// thread's first chunk, where the launch keeps it.
OPFORGE_KERNEL(block, kBlockThreads)
(const __grid_constant__ kernels::FakeQuantizeArguments arguments) {
    extern __shared__ uint4 chunks[];
    __shared__ Range scratch[32];
    const Random random(arguments);
    for (i64 group = blockIdx.x; group < arguments.launch.groups; group += gridDim.x) {
        const GroupSlice slice = whole_group(group, arguments.launch);
        ThreadShare share{};
        share.kept = arguments.launch.keeps != 0 ? chunks + threadIdx.x : nullptr;
        const Range range =
            reduce_block(share.measure(arguments, slice, threadIdx.x, blockDim.x), scratch);
        share.apply<kHoldFirst>(arguments, slice, threadIdx.x, blockDim.x,
                                GroupCodec(range, arguments), random);
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
        ThreadShare share{};
        const Range range =
            reduce_block(share.measure(arguments, slice, threadIdx.x, blockDim.x), scratch);
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
        ThreadShare{}.apply<false>(arguments, slice, threadIdx.x, blockDim.x,
                                   GroupCodec(range, arguments), random);
    }
}

#endif

}  // namespace opforge
