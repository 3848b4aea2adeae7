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
        const u32 number = blockIdx.x * teams_of_block(lanes) + team;
        const bool has_group = number < static_cast<u32>(launch.groups);
        const Run run{has_group ? number : 0,
                      has_group ? static_cast<u32>(launch.group_size / 8) : 0,
                      threadIdx.x - team * lanes, lanes};
        quantize(arguments, run, [&](const Range& own) {
            return lanes > 32 ? reduce_block<false>(own, scratch) : reduce_lanes(own, lanes);
        });
    }

private:
    /// Octets of a group, and the threads that share them.
    struct Run {
        u32 group;
        u32 octets;
        u32 lane;
        u32 lanes;
    };

    /// `reduce` gives every thread its group's range.
    template <class Reduce>
    static OPFORGE_DEVICE void quantize(const QuantizeArguments& arguments, const Run& run,
                                        Reduce reduce) {
        const u32 out = output_group(run.group, arguments.swizzle);
        const u32 octets = run.octets;
        const u32 first = kRun * run.lane;
        const u32 stride = kBatch * run.lanes;  // from batch to batch
        const u32 last = octets <= stride ? 0 : (octets - 1) / stride;
        BatchPlace place{last * stride, kRun * run.lanes, first < octets ? octets - first : 0};

        const Share share(arguments, run.group, out, first);
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
        const Parameters by(reduce(collector.range()), static_cast<float>(1u << arguments.bits));
        if (first == 0 && octets > 0) {
            by.store(arguments.params + static_cast<i64>(out) * Parameters::kRecord);
        }
        // Eight codes are as many bytes as one has bits.
        const i64 of_group = arguments.launch.group_size / 8;
        unsigned char* const codes =
            arguments.codes + (static_cast<i64>(out) * of_group + first) * arguments.bits;
        auto draws = scheduled_draws<kStochastic>(
            arguments.random, 8 * (static_cast<i64>(run.group) * of_group + first));
        const CodeBounds<Parameters> bounds(arguments.bits, by.poisoned);
        // All batches, from the first one on, which is loaded.
#pragma unroll 1
        for (;;) {
#pragma unroll
            for (u32 k = 0; k < kRuns; ++k) {
                if (place.has(k)) {
                    encode_run(share, by, bounds, arguments.bits, place, k, loaded, draws, codes);
                }
                draws.advance(8 * place.step);
            }
            if (place.first == last * stride) {
                return;
            }
            place.first += stride;
            share.load(place, loaded);
        }
    }

    static OPFORGE_DEVICE void collect(const BatchPlace& place, const Loaded (&loaded)[kBatch],
                                       typename Range::Collector& collector) {
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (place.has(k / kRun)) {
                include_words(collector, loaded[k].values);
            }
        }
    }

    /// `draws`: of the run's first element on.
    template <class Draws>
    static OPFORGE_DEVICE void
    encode_run(const Share& share, const Parameters& by, const CodeBounds<Parameters>& bounds,
               u32 bits, const BatchPlace& place, u32 run, const Loaded (&loaded)[kBatch],
               Draws draws, unsigned char* codes) {
        PackedCodes packed[kRun];
#pragma unroll
        for (u32 k = 0; k < kRun; ++k) {
            const Loaded& one = loaded[run * kRun + k];
            float drawn[8] = {};
            u32 code[8];
            draws.draw(drawn);
            draws.advance(8);
            encode_octet<kStochastic>(one.values, by, bounds, drawn, code);
            packed[k] = pack(code, bits);
            if constexpr (Source::kFeedback) {
                float decoded[8];
                decode_octet(code, by, decoded);
                share.keep(place, run * kRun + k, one, decoded);
            }
        }
        store_run(codes + place.at(run) * bits, packed, bits);
    }
};

}  // namespace opforge
