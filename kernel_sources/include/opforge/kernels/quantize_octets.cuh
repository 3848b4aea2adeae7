// The kernels of groups of any size and alignment, and of those that are too large for one block.
// One octet at a time, read once for the range and once more, from L1 or L2, to be encoded: loops
// with one small body. See group_quantize.cuh.
#pragma once

#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_quantize.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/random.cuh"
#include "opforge/kernels/range.cuh"

namespace opforge {

template <class Source, class Parameters, bool kStochastic>
struct OctetQuantizer {
    using Range = typename Parameters::Range;
    using Loaded = typename Source::Loaded;

    /// The share of one of `lanes` threads in a slice's range.
    static OPFORGE_DEVICE Range measure(const QuantizeArguments& arguments, const GroupSlice& slice,
                                        i64 out, u32 lane, u32 lanes) {
        auto collector = Range::Collector::of_sums();
#pragma unroll 1
        for (i64 place = slice.begin + 8 * lane; place < slice.end; place += 8 * lanes) {
            const Loaded loaded = Source::load_any(arguments, slice.group, out, place,
                                                   count_from(place, slice.end, 8));
            include_words(collector, loaded.values);
        }
        return collector.range();
    }

    static OPFORGE_DEVICE void encode(const QuantizeArguments& arguments, const GroupSlice& slice,
                                      i64 out, u32 lane, u32 lanes, const Parameters& by) {
        const u32 bits = arguments.bits;
        const bool aligned = arguments.launch.aligned != 0;
        const CodeBounds<Parameters> bounds(bits, by.poisoned);
        const CodePacker packer(bits, by.poisoned);
        const Random<kStochastic> random(arguments.random);
        const i64 group_size = arguments.launch.group_size;
        // A group fills whole bytes, and so does an octet.
        unsigned char* const codes = arguments.codes + out * (group_size * bits / 8);
#pragma unroll 1
        for (i64 place = slice.begin + 8 * lane; place < slice.end; place += 8 * lanes) {
            const u32 count = count_from(place, slice.end, 8);
            const Loaded loaded = Source::load_any(arguments, slice.group, out, place, count);
            float draws[8] = {};
            float position[8];
            random.draw_at(slice.group * group_size + place, draws);
            locate_octet<kStochastic, Source::kFeedback>(loaded.values, by, bounds, draws,
                                                         position);
            store_codes(codes + place / 8 * bits, packer.template pack<kAnyBits>(position), bits,
                        count, aligned);
            if constexpr (Source::kFeedback) {
                float decoded[8];
                decode_octet(position, by, decoded);
                Source::keep_any(arguments, out, place, count, loaded, decoded);
            }
        }
    }

    /// Launch: a block of 256 threads where `lanes` is at most 32, else of `lanes`. Grid strides
    /// over the groups.
    static OPFORGE_DEVICE void any(const QuantizeArguments& arguments) {
        __shared__ Range scratch[32];
        const kernels::GroupLaunch& launch = arguments.launch;
        const u32 sub = team_of_thread(launch.lanes);
        const u32 lane = threadIdx.x - sub * launch.lanes;
        const u32 groups_a_block = teams_of_block(launch.lanes);
        const float levels = static_cast<float>(1u << arguments.bits);
        // The bound is the block's, not the thread's: every lane must reach the shuffles.
        const i64 stride = static_cast<i64>(gridDim.x) * groups_a_block;
        for (i64 base = static_cast<i64>(blockIdx.x) * groups_a_block; base < launch.groups;
             base += stride) {
            GroupSlice slice = whole_group(base + sub, launch);
            const bool mine = slice.group < launch.groups;
            slice.end = mine ? slice.end : 0;
            const i64 out = output_group(slice.group, arguments.swizzle);
            Range range = measure(arguments, slice, out, lane, launch.lanes);
            range = launch.lanes > 32 ? reduce_block(range, scratch)
                                      : reduce_lanes(range, launch.lanes);
            if (launch.group_size == 0) {
                range = Range::zero();  // an empty group's record is that of zeros
            }
            if (mine) {
                const Parameters by(range, levels);
                if (lane == 0) {
                    by.store(arguments.params + out * Parameters::kRecord);
                }
                encode(arguments, slice, out, lane, launch.lanes, by);
            }
        }
    }

    /// Launch: lanes = block, a multiple of 32. Grid strides over groups * slices.
    static OPFORGE_DEVICE void range(const QuantizeArguments& arguments) {
        __shared__ Range scratch[32];
        const i64 tiles = arguments.launch.groups * arguments.launch.slices;
        for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
            const GroupSlice slice = slice_of(tile, arguments.launch);
            const i64 out = output_group(slice.group, arguments.swizzle);
            const Range range =
                reduce_block(measure(arguments, slice, out, threadIdx.x, blockDim.x), scratch);
            if (threadIdx.x == 0) {
                static_cast<Range*>(arguments.ranges)[tile] = range;
            }
        }
    }

    /// Launch: as `range`, after it on the same stream. Goes through the tiles backwards: the last
    /// ones read are those that L2 still holds.
    static OPFORGE_DEVICE void apply(const QuantizeArguments& arguments) {
        __shared__ Range scratch[32];
        const i64 slices = arguments.launch.slices;
        const i64 tiles = arguments.launch.groups * slices;
        const float levels = static_cast<float>(1u << arguments.bits);
        for (i64 done = blockIdx.x; done < tiles; done += gridDim.x) {
            const GroupSlice slice = slice_of(tiles - 1 - done, arguments.launch);
            const Range* ranges =
                static_cast<const Range*>(arguments.ranges) + slice.group * slices;
            Range range = Range::empty();
#pragma unroll 1
            for (i64 i = threadIdx.x; i < slices; i += blockDim.x) {
                range.include(ranges[i]);
            }
            const Parameters by(reduce_block(range, scratch), levels);
            const i64 out = output_group(slice.group, arguments.swizzle);
            if (threadIdx.x == 0 && slice.begin == 0) {
                by.store(arguments.params + out * Parameters::kRecord);
            }
            encode(arguments, slice, out, threadIdx.x, blockDim.x, by);
        }
    }
};

}  // namespace opforge
