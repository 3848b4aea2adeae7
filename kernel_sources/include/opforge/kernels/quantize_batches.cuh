// The kernel of aligned groups, read once: a thread loads a batch of its octets before it uses any,
// and keeps the last one it reads, in most launches the only one, from finding the range to
// encoding. See group_quantize.cuh.
#pragma once

#include "opforge/kernels/batch_place.cuh"
#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_quantize.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/random.cuh"
#include "opforge/kernels/range.cuh"

namespace opforge {

template <class Source, class Parameters, bool kStochastic>
class BatchQuantizer {
    using Range = typename Parameters::Range;
    using Format = typename Source::Format;
    using Loaded = typename Source::Loaded;
    using Share = typename Source::Share;
    static constexpr u32 kRun = Source::kRun;
    static constexpr u32 kBatch = Source::kBatch;
    static constexpr u32 kRuns = kBatch / kRun;

public:
    /// Launch: a block of 256 threads where `lanes` is at most 32, else of `lanes`; of a reduction,
    /// dynamic shared memory as device_ring.cuh has it. Grid: every group.
    static OPFORGE_DEVICE void groups(const QuantizeArguments& arguments) {
        __shared__ Range scratch[32];
        const kernels::GroupLaunch& launch = arguments.launch;
        const u32 lanes = launch.lanes;
        const u32 team = team_of_thread(lanes);
        const u32 lane = threadIdx.x - team * lanes;
        const u32 number = blockIdx.x * teams_of_block(lanes) + team;
        const bool has_group = number < static_cast<u32>(launch.groups);
        const u32 group = has_group ? number : 0;
        const u32 out = output_group(group, arguments.swizzle);
        const u32 octets = static_cast<u32>(launch.group_size / 8);
        const u32 first = kRun * lane;
        const u32 stride = kBatch * lanes;  // from batch to batch
        const u32 last = octets <= stride ? 0 : (octets - 1) / stride;
        BatchPlace place{last * stride, kRun * lanes,
                         has_group && first < octets ? octets - first : 0};

        const Share share(arguments, group, out, first);
        Loaded loaded[kBatch] = {};
        typename Range::Collector collector;
        // Backwards, so that the first batch is the one that is kept.
#pragma unroll 1
        for (;; place.first -= stride) {
            share.load(place, loaded);
            collect(place, loaded, collector);
            if (place.first == 0) {
                break;
            }
        }
        const Range own = collector.range();
        const Range range =
            lanes > 32 ? reduce_block<false>(own, scratch) : reduce_lanes(own, lanes);
        const Parameters by(range, static_cast<float>(1u << arguments.bits));
        if (has_group && lane == 0) {
            by.store(arguments.params + static_cast<i64>(out) * Parameters::kRecord);
        }
        // Eight codes are as many bytes as one has bits.
        unsigned char* const codes =
            arguments.codes + (static_cast<i64>(out) * octets + first) * arguments.bits;
        Random<kStochastic>(arguments.random)
            .with_draws(8 * (static_cast<i64>(group) * octets + first),
                        Encode{share, by, arguments, place, loaded, codes, last * stride, stride});
    }

private:
    static OPFORGE_DEVICE void collect(const BatchPlace& place, const Loaded (&loaded)[kBatch],
                                       typename Range::Collector& collector) {
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (place.has(k / kRun)) {
#pragma unroll
                for (int i = 0; i < Octet<Format>::kWords; ++i) {
                    collector.include_word(loaded[k].values.word[i]);
                }
            }
        }
    }

    /// All batches, from the first one on, which is loaded.
    struct Encode {
        const Share& share;
        const Parameters& by;
        const QuantizeArguments& arguments;
        BatchPlace& place;
        Loaded (&loaded)[kBatch];
        unsigned char* codes;
        u32 last;
        u32 stride;

        template <class Draws>
        OPFORGE_DEVICE void operator()(Draws draws) const {
            const CodeBounds<Format> bounds(arguments.bits, by.poisoned);
#pragma unroll 1
            for (;;) {
#pragma unroll
                for (u32 run = 0; run < kRuns; ++run) {
                    if (place.has(run)) {
                        encode_run(run, draws, bounds);
                    }
                    draws.advance(8 * place.step);
                }
                if (place.first == last) {
                    return;
                }
                place.first += stride;
                share.load(place, loaded);
            }
        }

    private:
        template <class Draws>
        OPFORGE_DEVICE void encode_run(u32 run, Draws draws,
                                       const CodeBounds<Format>& bounds) const {
            PackedCodes packed[kRun];
#pragma unroll
            for (u32 k = 0; k < kRun; ++k) {
                const Loaded& one = loaded[run * kRun + k];
                float drawn[8] = {};
                u32 code[8];
                draws.draw(drawn);
                draws.advance(8);
                encode_octet<kStochastic>(one.values, by, bounds, drawn, code);
                packed[k] = pack(code, arguments.bits);
                if constexpr (Source::kFeedback) {
                    float decoded[8];
                    decode_octet(code, by, decoded);
                    share.keep(place, run * kRun + k, one, decoded);
                }
            }
            store_run(codes + place.at(run) * arguments.bits, packed, arguments.bits);
        }
    };
};

}  // namespace opforge
