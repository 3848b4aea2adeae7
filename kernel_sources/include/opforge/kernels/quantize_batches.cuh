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
#include "opforge/kernels/team.cuh"

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
        const Run run{has_group ? number : 0, 0, has_group ? octets_of(launch.group_size) : 0,
                      threadIdx.x - team * lanes, lanes};
        quantize(arguments, run, ReadAgain{}, [&](const Range& own) {
            return lanes > 32 ? reduce_block<false>(own, scratch) : reduce_lanes(own, lanes);
        });
    }

#if __CUDA_ARCH__ >= 900
    /// Launch: clusters of `slices` blocks of 512 threads; dynamic shared memory for all batches of
    /// each thread but one. Grid: every group.
    static OPFORGE_DEVICE void cluster(const QuantizeArguments& arguments) {
        extern __shared__ uint4 dynamic[];
        __shared__ Range scratch[32];
        __shared__ Range slot;
        const kernels::GroupLaunch& launch = arguments.launch;
        const u32 size = static_cast<u32>(launch.slices);
        const ClusterTeam<Range> team{&slot, size};
        const u32 octets = octets_of(launch.group_size);
        const u32 begin = team.rank() * octets_of(launch.slice_size);
        const u32 end = begin + octets_of(launch.slice_size);
        const Run run{blockIdx.x / size, begin, end < octets ? end : octets, threadIdx.x,
                      blockDim.x};
        quantize(arguments, run, KeptBatches{dynamic + threadIdx.x}, [&](const Range& own) {
            return team.range_of_all(reduce_block<false>(own, scratch), 0);
        });
        team.leave();
    }
#endif

private:
    /// Octets of a group, and the threads that share them.
    struct Run {
        u32 group;
        u32 begin;
        u32 end;  // at most `begin` where there are none
        u32 lane;
        u32 lanes;
    };

    static OPFORGE_DEVICE u32 octets_of(i64 elements) {
        return static_cast<u32>(elements / 8);
    }

    /// Where batches beyond a thread's first are between finding the range and encoding.
    struct ReadAgain {
        OPFORGE_DEVICE void put(u32, const Loaded (&)[kBatch]) const {}
        OPFORGE_DEVICE void get(const Share& share, const BatchPlace& place, u32,
                                Loaded (&loaded)[kBatch]) const {
            share.load(place, loaded);
        }
    };
    struct KeptBatches {
        static constexpr u32 kVectors = sizeof(Loaded) / sizeof(uint4);
        uint4* own;  // blockDim.x apart

        /// `number`: from 1 on. What is not there is kept, too, and not used.
        OPFORGE_DEVICE void put(u32 number, const Loaded (&loaded)[kBatch]) const {
            uint4* to = own + (number - 1) * (kBatch * kVectors * blockDim.x);
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                const u32* const words = reinterpret_cast<const u32*>(&loaded[k]);
#pragma unroll
                for (u32 i = 0; i < kVectors; ++i) {
                    to[(k * kVectors + i) * blockDim.x] = make_uint4(
                        words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
                }
            }
        }
        OPFORGE_DEVICE void get(const Share&, const BatchPlace&, u32 number,
                                Loaded (&loaded)[kBatch]) const {
            const uint4* const from = own + (number - 1) * (kBatch * kVectors * blockDim.x);
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                u32* const words = reinterpret_cast<u32*>(&loaded[k]);
#pragma unroll
                for (u32 i = 0; i < kVectors; ++i) {
                    const uint4 four = from[(k * kVectors + i) * blockDim.x];
                    words[4 * i] = four.x;
                    words[4 * i + 1] = four.y;
                    words[4 * i + 2] = four.z;
                    words[4 * i + 3] = four.w;
                }
            }
        }
    };

    /// `reduce` gives every thread its group's range.
    template <class Kept, class Reduce>
    static OPFORGE_DEVICE void quantize(const QuantizeArguments& arguments, const Run& run,
                                        Kept kept, Reduce reduce) {
        const u32 out = output_group(run.group, arguments.swizzle);
        const u32 octets = run.end > run.begin ? run.end - run.begin : 0;
        const u32 first = run.begin + kRun * run.lane;
        const u32 stride = kBatch * run.lanes;  // from batch to batch
        const u32 last = octets <= stride ? 0 : (octets - 1) / stride;
        BatchPlace place{last * stride, kRun * run.lanes, first < run.end ? run.end - first : 0};

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
            kept.put(place.first / stride, loaded);
        }
        const Parameters by(reduce(collector.range()), static_cast<float>(1u << arguments.bits));
        if (first == 0 && run.end > 0) {
            by.store(arguments.params + static_cast<i64>(out) * Parameters::kRecord);
        }
        // Eight codes are as many bytes as one has bits.
        const i64 of_group = arguments.launch.group_size / 8;
        unsigned char* const codes =
            arguments.codes + (static_cast<i64>(out) * of_group + first) * arguments.bits;
        auto draws = scheduled_draws<kStochastic>(
            arguments.random, 8 * (static_cast<i64>(run.group) * of_group + first));
        const CodeBounds<Format> bounds(arguments.bits, by.poisoned);
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
            kept.get(share, place, place.first / stride, loaded);
        }
    }

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

    /// `draws`: of the run's first element on.
    template <class Draws>
    static OPFORGE_DEVICE void
    encode_run(const Share& share, const Parameters& by, const CodeBounds<Format>& bounds, u32 bits,
               const BatchPlace& place, u32 run, const Loaded (&loaded)[kBatch], Draws draws,
               unsigned char* codes) {
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
