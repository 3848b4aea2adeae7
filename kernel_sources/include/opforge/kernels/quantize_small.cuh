// The kernel of aligned groups of a few octets: a lane has one octet of each of several groups.
// What a group costs beyond its octets, one of its lanes does for the others, each lane for another
// group. Nearest rounding, no error feedback. See group_quantize.cuh.
#pragma once

#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_quantize.cuh"
#include "opforge/kernels/octet.cuh"
#include "opforge/kernels/range.cuh"

namespace opforge {

template <class Element, class Parameters>
class SmallQuantizer {
    using Range = typename Parameters::Range;
    using Raw = typename Element::Raw;
    static constexpr u32 kThreads = 256;
    static constexpr u32 kRows = 2 * Element::kPerWord;  // groups of a lane: 64 bytes

public:
    /// Launch: block = 256; `lanes` the octets of a group, a power of two from kRows to 32. Grid:
    /// every group, kRows of a lane.
    static OPFORGE_DEVICE void run(const QuantizeArguments& arguments) {
        if (arguments.bits == 8) {
            quantize<8>(arguments);
        } else if (arguments.bits == 4) {
            quantize<4>(arguments);
        } else {
            quantize<2>(arguments);
        }
    }

private:
    template <u32 kBits>
    static OPFORGE_DEVICE void quantize(const QuantizeArguments& arguments) {
        const u32 lanes = arguments.launch.lanes;
        const u32 lane = threadIdx.x & (lanes - 1);
        const u32 team = threadIdx.x >> (31 - __clz(static_cast<int>(lanes)));
        const u32 teams = kThreads >> (31 - __clz(static_cast<int>(lanes)));
        const u32 groups = static_cast<u32>(arguments.launch.groups);
        const u32 first = blockIdx.x * (kRows * teams) + team;  // group; the others teams apart
        const u64 octet = static_cast<u64>(blockIdx.x) * (kRows * kThreads) + threadIdx.x;
        const Raw* from = static_cast<const Raw*>(arguments.input) + 8 * octet;
        asm("" : "+l"(from));  // not computed again for every load
        __builtin_assume(__isGlobal(from));

        Octet<Element> octets[kRows] = {};
#pragma unroll
        for (u32 row = 0; row < kRows; ++row) {
            if (first + row * teams < groups) {
                const Raw* const place = from + row * (8 * kThreads);
                // As TensorSource does, but not at 4 bits: slower there.
                octets[row] = kBits == 2 ? load_octet_once<Element>(place)
                                         : load_octet<Element>(place, 8, true);
            }
        }
        Range range[kRows];
#pragma unroll
        for (u32 row = 0; row < kRows; ++row) {
            typename Range::Collector collector;
            include_words(collector, octets[row]);
            range[row] = collector.range();
        }
        for (u32 mask = lanes / 2; mask > 0; mask /= 2) {
#pragma unroll
            for (u32 row = 0; row < kRows; ++row) {
                range[row].include(range[row].shuffle_xor(mask));
            }
        }

        // Each lane's own group, of which the first kRows lanes have one each.
        const u32 own = lane % kRows;
        Range of_own = range[0];
#pragma unroll
        for (u32 row = 1; row < kRows; ++row) {
            of_own = own == row ? range[row] : of_own;
        }
        const u32 group = first + own * teams;
        const bool is_there = group < groups;
        const u32 out = output_group(is_there ? group : 0, arguments.swizzle);
        const Parameters by(of_own, static_cast<float>(1u << kBits));
        const CodePacker packer(kBits, by.poisoned);
        if (is_there && lane < kRows) {
            by.store(arguments.params + static_cast<i64>(out) * Parameters::kRecord);
        }
        const bool swizzled = arguments.swizzle.contiguous != 0;
        const CodeBounds<Parameters> bounds(kBits, false);
#pragma unroll
        for (u32 row = 0; row < kRows; ++row) {
            const u32 owner = (threadIdx.x & (32 - lanes)) + row;
            u64 place = octet + row * kThreads;
            if (swizzled) {
                place =
                    static_cast<u64>(__shfl_sync(kFullWarp, out, static_cast<int>(owner))) * lanes +
                    lane;
            }
            const float no_draws[8] = {};
            float position[8];
            locate_octet<false, false>(octets[row], by.of_lane(owner), bounds, no_draws, position);
            const PackedCodes packed = packer.of_lane(owner).template pack<kBits>(position);
            if (first + row * teams < groups) {
                store_codes(arguments.codes + place * kBits, packed, kBits, 8, true);
            }
        }
    }
};

}  // namespace opforge
