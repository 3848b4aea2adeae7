// The kernels of aligned groups: a thread loads a batch of its octets before it uses any, and keeps
// it from finding the range to encoding. Groups of more than a batch a thread have a kernel of
// their own: the loops cost registers, and with them threads. See group_quantize.cuh.
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
    /// Launch: a block of 256 threads where `lanes` is at most 32, else of `lanes`. Grid: every
    /// group. Groups of at most a batch a lane.
    static OPFORGE_DEVICE void groups(const QuantizeArguments& arguments) {
        const Run run(arguments);
        BatchPlace place = run.place_of(0);
        Share share = run.share(arguments);
        share.settle();
        Loaded loaded[kBatch] = {};
        auto collector = Range::Collector::of_sums();
        share.load(place, loaded);
        collect(place, loaded, collector);
        const Parameters by = parameters(arguments, run, collector);
        auto draws = run.draws(arguments);
        encode_batch(arguments, run, share, by, place, loaded, draws);
    }

    /// Launch: as of `groups`, a block for each group.
    static OPFORGE_DEVICE void batches(const QuantizeArguments& arguments) {
        const Run run(arguments);
        const u32 stride = kBatch * run.lanes;  // from batch to batch
        const u32 last = run.octets <= stride ? 0 : (run.octets - 1) / stride * stride;
        BatchPlace place = run.place_of(last);
        const Share share = run.share(arguments);
        Loaded loaded[kBatch] = {};
        auto collector = Range::Collector::of_sums();
        // Backwards, so that the first batch is the one that is kept.
#pragma unroll 1
        for (;; place.first -= stride) {
            share.load(place, loaded);
            collect(place, loaded, collector);
            if (place.first == 0) {
                break;
            }
        }
        const Parameters by = parameters(arguments, run, collector);
        auto draws = run.draws(arguments);
        // All batches, from the first one on, which is loaded.
#pragma unroll 1
        for (;;) {
            encode_batch(arguments, run, share, by, place, loaded, draws);
            if (place.first == last) {
                return;
            }
            place.first += stride;
            share.load(place, loaded);
        }
    }

private:
    /// A group, and the thread's share of its octets.
    struct Run {
        u32 group;
        u32 out;     // the group's number where it is written
        u32 octets;  // 0: there is no such group
        u32 all;     // octets of a group
        u32 lanes;
        u32 first;  // octet

        OPFORGE_DEVICE explicit Run(const QuantizeArguments& arguments)
            : lanes(arguments.launch.lanes) {
            const kernels::GroupLaunch& launch = arguments.launch;
            const u32 team = team_of_thread(lanes);
            const u32 number = blockIdx.x * teams_of_block(lanes) + team;
            const bool is_there = number < static_cast<u32>(launch.groups);
            group = is_there ? number : 0;
            out = output_group(group, arguments.swizzle);
            all = static_cast<u32>(launch.group_size) / 8;
            octets = is_there ? all : 0;
            first = kRun * (threadIdx.x - team * lanes);
        }
        OPFORGE_DEVICE BatchPlace place_of(u32 batch) const {
            return {batch, kRun * lanes, first < octets ? octets - first : 0, all};
        }
        OPFORGE_DEVICE Share share(const QuantizeArguments& arguments) const {
            return Share(arguments, group, out, first);
        }
        /// The thread's first octet in a tensor of which this is group `number`.
        OPFORGE_DEVICE u64 octet_in(u32 number) const {
            return static_cast<u64>(number) * all + first;
        }
        OPFORGE_DEVICE auto draws(const QuantizeArguments& arguments) const {
            return scheduled_draws<kStochastic>(arguments.random,
                                                static_cast<i64>(8 * octet_in(group)));
        }
    };

    static OPFORGE_DEVICE void collect(const BatchPlace& place, const Loaded (&loaded)[kBatch],
                                       typename Range::Collector& collector) {
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (place.has(k / kRun)) {
                include_words(collector, loaded[k].values);
            }
        }
    }

    /// Of what all threads of the group have collected. Writes the record.
    static OPFORGE_DEVICE Parameters parameters(const QuantizeArguments& arguments, const Run& run,
                                                const typename Range::Collector& collector) {
        __shared__ Range scratch[32];
        const Range own = collector.range();
        const Parameters by(run.lanes > 32 ? reduce_block<false>(own, scratch)
                                           : reduce_lanes(own, run.lanes),
                            static_cast<float>(1u << arguments.bits));
        if (run.first == 0 && run.octets > 0) {
            by.store(arguments.params + static_cast<i64>(run.out) * Parameters::kRecord);
        }
        return by;
    }

    /// `draws`: of the batch's first element on; afterwards, of the next batch's.
    template <class Draws>
    static OPFORGE_DEVICE void encode_batch(const QuantizeArguments& arguments, const Run& run,
                                            const Share& share, const Parameters& by,
                                            const BatchPlace& place, const Loaded (&loaded)[kBatch],
                                            Draws& draws) {
        // What rounds at random is too long to be there for each width.
        if constexpr (kStochastic) {
            encode_width<kAnyBits>(arguments, run, share, by, place, loaded, draws);
        } else if (arguments.bits == 8) {
            encode_width<8>(arguments, run, share, by, place, loaded, draws);
        } else if (!Source::kTwoBits || arguments.bits == 4) {
            encode_width<4>(arguments, run, share, by, place, loaded, draws);
        } else {
            encode_width<2>(arguments, run, share, by, place, loaded, draws);
        }
    }

    template <u32 kBits, class Draws>
    static OPFORGE_DEVICE void encode_width(const QuantizeArguments& arguments, const Run& run,
                                            const Share& share, const Parameters& by,
                                            const BatchPlace& place, const Loaded (&loaded)[kBatch],
                                            Draws& draws) {
        const u32 bits = kBits == kAnyBits ? arguments.bits : kBits;
        const CodeBounds<Parameters> bounds(bits, by.poisoned);
        const CodePacker packer(bits, by.poisoned);
        // Eight codes are as many bytes as one has bits.
        unsigned char* const codes = arguments.codes + run.octet_in(run.out) * bits;
#pragma unroll
        for (u32 i = 0; i < kRuns; ++i) {
            // Without a branch of its own, a thread that lacks the run encodes what it finds.
            if (Source::kFeedback ? place.has(i) : place.any_has(i)) {
                PackedCodes packed[kRun];
                Draws run_draws = draws;
#pragma unroll
                for (u32 k = 0; k < kRun; ++k) {
                    const Loaded& one = loaded[i * kRun + k];
                    float drawn[8] = {};
                    float position[8];
                    run_draws.draw(drawn);
                    run_draws.advance(8);
                    locate_octet<kStochastic, Source::kFeedback>(one.values, by, bounds, drawn,
                                                                 position);
                    packed[k] = packer.template pack<kBits>(position);
                    if constexpr (Source::kFeedback) {
                        float decoded[8];
                        decode_octet(position, by, decoded);
                        share.keep(place, i * kRun + k, one, decoded);
                    }
                }
                if (place.has(i)) {
                    store_run(codes + place.at(i) * bits, packed, bits);
                }
            }
            draws.advance(8 * place.step);
        }
    }
};

}  // namespace opforge
