// The kernels of every op that turns groups of values into codes, over a Source that says where the
// values come from:
//   Loaded Source::load(i64 group, i64 out, i64 place, u32 count)
//          eight values of a group, which is written as group `out`, and what belongs to them
//   void   Source::keep(i64 group, i64 place, u32 count, const Loaded&, const Octet& decoded)
//          what is left to do once the codes are known (error feedback); kFeedback says whether
//   RangeElement  the format in which ranges are found
//   kDear  whether loading costs more than registers do; where it does not:
//   void   Source::collect(i64 group, i64 place, u32 count, Collector&)  as it lies in memory
// and Parameters, symmetric or asymmetric. Where loading is dear, a thread keeps its first eight
// values between finding the range and encoding. What is beyond is read again, from L1 or L2: loops
// with one small body compile in half the time of loops that keep all values in registers.
#pragma once

#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_parameters.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/octet.cuh"
#include "opforge/kernels/philox.cuh"
#include "opforge/kernels/quantize_arguments.cuh"
#include "opforge/kernels/range.cuh"

namespace opforge {

using kernels::QuantizeArguments;

/// Where the group is written: contract, section 7.
OPFORGE_DEVICE i64 output_group(i64 group, const kernels::SwizzleArguments& by) {
    if (by.contiguous == 0) {
        return group;
    }
    const i64 chunk = divide(group, by.contiguous);
    const i64 partition = divide(chunk, by.pipeline_size);
    const i64 slice = chunk - partition * by.pipeline_size;
    const i64 node = divide(partition, by.devices_per_node);
    const i64 device = partition - node * by.devices_per_node;
    return ((slice * by.devices_per_node + device) * by.nodes + node) * by.contiguous +
           (group - chunk * by.contiguous);
}

template <class Source, class Parameters, bool kStochastic>
struct GroupQuantizer {
    using Range = typename Parameters::Range;
    using Loaded = typename Source::Loaded;

    /// The share of one of `lanes` threads in a slice's range. `first` is the first eight of its
    /// values, where it has any: encode() begins with them, and in most launches there are no
    /// others.
    static OPFORGE_DEVICE Range measure(const Source& source, const GroupSlice& slice, i64 out,
                                        u32 lane, u32 lanes, Loaded& first) {
        typename Range::Collector collector;
        const i64 start = slice.begin + 8 * lane;
#pragma unroll 1
        for (i64 place = start; place < slice.end; place += 8 * lanes) {
            const u32 count = count_from(place, slice.end, 8);
            if constexpr (Source::kDear) {
                const Loaded loaded = source.load(slice.group, out, place, count);
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    collector.include_word(__float_as_uint(loaded.values.value[i]));
                }
                if (place == start) {
                    first = loaded;
                }
            } else {
                source.collect(slice.group, place, count, collector);
            }
        }
        return collector.range();
    }

    /// kHeld: `loaded` is the thread's first eight values.
    template <bool kHeld>
    static OPFORGE_DEVICE void encode(const Source& source, const GroupSlice& slice, i64 out,
                                      u32 lane, u32 lanes, const Parameters& by,
                                      const QuantizeArguments& arguments, Loaded loaded) {
        const u32 bits = arguments.bits;
        const CodeBounds bounds(bits, by.poisoned);
        u64 seed = arguments.seed;
        u64 offset = arguments.offset;
        if (kStochastic && arguments.device_random != nullptr) {
            seed = arguments.device_random[0];
            offset = arguments.device_random[1];
        }
        const i64 group_size = arguments.launch.group_size;
        // A group fills whole bytes, and so does an octet.
        unsigned char* const codes = arguments.codes + out * (group_size * bits / 8);
        const i64 start = slice.begin + 8 * lane;
#pragma unroll 1
        for (i64 place = start; place < slice.end; place += 8 * lanes) {
            const u32 count = count_from(place, slice.end, 8);
            if (!kHeld || place != start) {
                loaded = source.load(slice.group, out, place, count);
            }
            float scaled[8];
            u32 code[8];
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                scaled[i] = by.position(loaded.values.value[i]);
            }
            if (kStochastic) {
                float draws[8];
                AnyDraws(seed, offset + static_cast<u64>(slice.group * group_size + place))
                    .draw(draws);
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    code[i] = rounded_bits(bounds.stochastic(scaled[i], draws[i]));
                }
            } else {
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    code[i] = rounded_bits(bounds.nearest(scaled[i]));
                }
            }
            store_codes(codes + place / 8 * bits, pack(code, bits), bits, count,
                        arguments.launch.aligned != 0);
            if (Source::kFeedback) {
                Octet decoded;
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    decoded.value[i] = by.decode(rounded_value(code[i]));
                }
                source.keep(out, place, count, loaded, decoded);
            }
        }
    }

    /// Launch: a block of 256 threads where `lanes` is at most 32, else of `lanes`. Grid strides
    /// over the groups.
    static OPFORGE_DEVICE void groups(const QuantizeArguments& arguments) {
        __shared__ Range scratch[32];
        const kernels::GroupLaunch& launch = arguments.launch;
        const Source source(arguments);
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
            Loaded first{};
            Range range = measure(source, slice, out, lane, launch.lanes, first);
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
                encode<Source::kDear>(source, slice, out, lane, launch.lanes, by, arguments, first);
            }
        }
    }

    /// Launch: lanes = block, a multiple of 32. Grid strides over groups * slices.
    static OPFORGE_DEVICE void range(const QuantizeArguments& arguments) {
        __shared__ Range scratch[32];
        const Source source(arguments);
        const i64 tiles = arguments.launch.groups * arguments.launch.slices;
        for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
            const GroupSlice slice = slice_of(tile, arguments.launch);
            const i64 out = output_group(slice.group, arguments.swizzle);
            Loaded first{};
            const Range range =
                reduce_block(measure(source, slice, out, threadIdx.x, blockDim.x, first), scratch);
            if (threadIdx.x == 0) {
                static_cast<Range*>(arguments.ranges)[tile] = range;
            }
        }
    }

    /// Launch: as `range`, after it on the same stream. Goes through the tiles backwards: the last
    /// ones read are those that L2 still holds.
    static OPFORGE_DEVICE void apply(const QuantizeArguments& arguments) {
        __shared__ Range scratch[32];
        const Source source(arguments);
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
            encode<false>(source, slice, out, threadIdx.x, blockDim.x, by, arguments, Loaded{});
        }
    }
};

}  // namespace opforge
