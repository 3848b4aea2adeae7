// Clusters that go through the groups of a tensor: each block keeps its slice of a group in shared
// memory between finding the range and encoding, and what it has encoded makes room for the next
// group's, which is asked for at once. Beside what group_quantize.cuh says, the Source has
//   kVectors               16-byte vectors that an octet is made of
//   Share::vector(octet, i)  where vector i of the thread's octet is, octets counted from its first
//   of_vectors(vectors)    an octet, as Loaded
#pragma once

#include "opforge/kernels/async_copy.cuh"
#include "opforge/kernels/batch_place.cuh"
#include "opforge/kernels/cluster_team.cuh"
#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_quantize.cuh"
#include "opforge/kernels/random.cuh"
#include "opforge/kernels/range.cuh"

namespace opforge {

#if __CUDA_ARCH__ >= 900

template <class Source, class Parameters, bool kStochastic>
class RingQuantizer {
    using Range = typename Parameters::Range;
    using Format = typename Source::Format;
    using Loaded = typename Source::Loaded;
    using Share = typename Source::Share;
    static constexpr u32 kVectors = Source::kVectors;
    static constexpr bool kNeighbours = Octet<Format>::kWords > 4;  // two vectors share 32 bytes
    static constexpr u32 kStages = 4;            // parts of a slice, waited for one by one
    static constexpr u32 kBatch = 4 / kVectors;  // octets under way at once at first

public:
    /// Launch: clusters of `slices` blocks; dynamic shared memory for the vectors of a slice. Grid:
    /// as many clusters as are resident at once, or more.
    static OPFORGE_DEVICE void run(const QuantizeArguments& arguments) {
        extern __shared__ __align__(128) uint4 dynamic[];
        __shared__ typename ClusterTeam<Range>::Board board;
        const kernels::GroupLaunch& launch = arguments.launch;
        const ClusterTeam<Range> team(board, static_cast<u32>(launch.slices));
        const RingQuantizer ring(arguments, team.rank(), dynamic + threadIdx.x);
        const u32 groups = static_cast<u32>(launch.groups);
        u32 group = team.number();
        Range own = ring.measure_first(ring.share_of(group));
        u32 round = 0;
#pragma unroll 1
        for (;;) {
            const Parameters by(team.range_of_all(own, round),
                                static_cast<float>(1u << arguments.bits));
            const u32 next = group + team.teams();
            ring.encode(group, by, next < groups, ring.share_of(next));
            if (next >= groups) {
                return;
            }
            own = ring.measure_next();
            group = next;
            ++round;
        }
    }

private:
    OPFORGE_DEVICE RingQuantizer(const QuantizeArguments& arguments, u32 rank, uint4* own)
        : arguments_(arguments), own_(own) {
        const u32 octets = static_cast<u32>(arguments.launch.group_size / 8);
        const u32 slice = static_cast<u32>(arguments.launch.slice_size / 8);
        first_ = rank * slice + threadIdx.x;
        const u32 end = (rank + 1) * slice < octets ? (rank + 1) * slice : octets;
        left_ = first_ < end ? end - first_ : 0;
        const u32 rows = (slice + blockDim.x - 1) / blockDim.x;
        stage_ = (rows + (kStages - 1)) / kStages * blockDim.x;
    }

    OPFORGE_DEVICE Share share_of(u32 group) const {
        return Share(arguments_, group, output_group(group, arguments_.swizzle), first_);
    }

    OPFORGE_DEVICE Range measure_first(const Share& share) const {
        auto collector = Range::Collector::of_sums();
        uint4* own = own_;
#pragma unroll 1
        for (u32 place = 0; place < left_; place += kBatch * blockDim.x) {
            uint4 batch[kBatch][kVectors];
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                const u32 octet = place + k * blockDim.x;
                if (octet < left_) {
#pragma unroll
                    for (u32 i = 0; i < kVectors; ++i) {
                        batch[k][i] = *share.vector(octet, i);
                    }
                }
            }
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                if (place + k * blockDim.x < left_) {
#pragma unroll
                    for (u32 i = 0; i < kVectors; ++i) {
                        own[i * blockDim.x] = batch[k][i];
                    }
                    include_words(collector, Source::of_vectors(batch[k]).values);
                }
                own += kVectors * blockDim.x;
            }
        }
        return collector.range();
    }

    /// What encode() has asked for.
    OPFORGE_DEVICE Range measure_next() const {
        auto collector = Range::Collector::of_sums();
        measure_stage<1>(collector);
        measure_stage<2>(collector);
        measure_stage<3>(collector);
        measure_stage<4>(collector);
        return collector.range();
    }
    /// kStage: from 1 on.
    template <u32 kStage>
    OPFORGE_DEVICE void measure_stage(typename Range::Collector& collector) const {
        wait_for_copies<kStages - kStage>();
        const u32 begin = (kStage - 1) * stage_;
        const u32 end = end_of(kStage);
        const uint4* own = own_ + kVectors * begin;
#pragma unroll 2
        for (u32 place = begin; place < end; place += blockDim.x) {
            include_words(collector, kept(own).values);
            own += kVectors * blockDim.x;
        }
    }

    /// `more`: whether there is another group, of which `next` is the thread's share.
    OPFORGE_DEVICE void encode(u32 group, const Parameters& by, bool more,
                               const Share& next) const {
        // What rounds at random is too long to be there for each width.
        if constexpr (kStochastic) {
            encode_width<kAnyBits>(group, by, arguments_.bits, more, next);
        } else if (arguments_.bits == 8) {
            encode_width<8>(group, by, 8, more, next);
        } else if (!Source::kTwoBits || arguments_.bits == 4) {
            encode_width<4>(group, by, 4, more, next);
        } else {
            encode_width<2>(group, by, 2, more, next);
        }
    }

    template <u32 kBits>
    OPFORGE_DEVICE void encode_width(u32 group, const Parameters& by, u32 bits, bool more,
                                     const Share& next) const {
        const u32 out = output_group(group, arguments_.swizzle);
        const i64 of_group = arguments_.launch.group_size / 8;
        if (first_ == 0) {
            by.store(arguments_.params + static_cast<i64>(out) * Parameters::kRecord);
        }
        // Eight codes are as many bytes as one has bits.
        unsigned char* codes =
            arguments_.codes + (static_cast<i64>(out) * of_group + first_) * bits;
        auto draws = scheduled_draws<kStochastic>(
            arguments_.random, 8 * (static_cast<i64>(group) * of_group + first_));
        const CodeBounds<Parameters> bounds(bits, by.poisoned);
        const CodePacker packer(bits, by.poisoned);
        [[maybe_unused]] const Share share = share_of(group);
        uint4* own = own_;
        u32 place = 0;
#pragma unroll 1
        for (u32 stage = 1; stage <= kStages; ++stage) {
            const u32 end = end_of(stage);
#pragma unroll 1
            for (; place < end; place += blockDim.x) {
                const Loaded octet = kept(own);
                float drawn[8] = {};
                float position[8];
                draws.draw(drawn);
                locate_octet<kStochastic, Source::kFeedback>(octet.values, by, bounds, drawn,
                                                             position);
                if constexpr (Source::kFeedback) {
                    float decoded[8];
                    decode_octet(position, by, decoded);
                    share.keep(BatchPlace{place, 0, left_, left_}, 0, octet, decoded);
                }
                const PackedCodes packed[1] = {packer.template pack<kBits>(position)};
                store_run(codes, packed, bits);
                if (more) {
#pragma unroll
                    for (u32 i = 0; i < kVectors; ++i) {
                        copy_async<16, kNeighbours>(own + i * blockDim.x, next.vector(place, i));
                    }
                }
                codes += blockDim.x * bits;
                own += kVectors * blockDim.x;
                draws.advance(8 * blockDim.x);
            }
            commit_copies();
        }
    }

    /// Octets of the thread up to the end of a stage.
    OPFORGE_DEVICE u32 end_of(u32 stage) const {
        const u32 end = stage * stage_;
        return end < left_ ? end : left_;
    }
    static OPFORGE_DEVICE Loaded kept(const uint4* own) {
        uint4 vectors[kVectors];
#pragma unroll
        for (u32 i = 0; i < kVectors; ++i) {
            vectors[i] = own[i * blockDim.x];
        }
        return Source::of_vectors(vectors);
    }

    const QuantizeArguments& arguments_;
    uint4* own_;  // the thread's shared memory, vectors blockDim.x apart
    u32 first_;   // octet of a group that is the thread's first
    u32 left_;    // octets of the slice from it on
    u32 stage_;   // octets, a thread's blockDim.x apart
};

#endif

}  // namespace opforge
