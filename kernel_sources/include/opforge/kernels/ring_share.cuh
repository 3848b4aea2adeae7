// A block's slices of one group after the other: rows of one chunk a thread in shared memory. A
// row's place is free as soon as the row is written, and the next group's row is asked for at once,
// so that a block loads while it draws and stores, and holds no chunk in registers. Aligned tensors
// and, of stochastic rounding, scheduled launches (random_arguments.cuh) only.
#pragma once

#include "opforge/kernels/async_copy.cuh"
#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/fake_quantize_codec.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/random.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// kAllKept: the block's dynamic shared memory, arguments.launch.keeps rows, has room for a whole
/// slice. Else rows beyond it are read twice, the last one of them first: L2 still holds that.
template <bool kAllKept>
class RingShare {
    static constexpr u32 kStages = 4;  // parts of a slice that are waited for one by one
    static constexpr u32 kBatch = 4;   // rows under way at once that are not kept

public:
    ///   slice   of the block's first group
    ///   shared  the block's dynamic shared memory
    OPFORGE_DEVICE RingShare(const FakeQuantizeArguments& arguments, const GroupSlice& slice,
                             uint4* shared)
        : start_(slice.group * arguments.launch.group_size + slice.begin + kCount * threadIdx.x),
          own_(shared + threadIdx.x) {
        const u32 chunks =
            slice.end > slice.begin ? static_cast<u32>((slice.end - slice.begin) / kCount) : 0;
        left_ = chunks > threadIdx.x ? chunks - threadIdx.x : 0;
        stage_ = (arguments.launch.keeps + (kStages - 1)) / kStages * blockDim.x;
        const u32 kept = arguments.launch.keeps * blockDim.x;
        kept_ = kAllKept || left_ < kept ? left_ : kept;
    }

    /// The first slice's range: loads it and keeps what there is room for.
    OPFORGE_DEVICE Range measure_first(const FakeQuantizeArguments& arguments) const {
        Range::Collector collector;
        uint4* own = own_;
#pragma unroll 1
        for (u32 place = 0; place < left_; place += kBatch * blockDim.x) {
            Elements batch[kBatch];
            if (!kAllKept && place < kept_) {
                load<true>(batch, arguments, place);
            } else {
                load<false>(batch, arguments, place);
            }
            collect(batch, place, collector);
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                if (place + k * blockDim.x < kept_) {
                    own[k * blockDim.x] = batch[k].vector();
                }
            }
            own += kBatch * blockDim.x;
        }
        return collector.range();
    }

    /// The next one's, which apply() has asked for.
    OPFORGE_DEVICE Range measure_next(const FakeQuantizeArguments& arguments) const {
        Range::Collector collector;
        [[maybe_unused]] Elements beyond[kBatch];
        if constexpr (!kAllKept) {
            load<false>(beyond, arguments, kept_);
        }
        measure_stage<1>(collector);
        measure_stage<2>(collector);
        measure_stage<3>(collector);
        measure_stage<4>(collector);
        if constexpr (!kAllKept) {
#pragma unroll 1
            for (u32 place = kept_; place < left_;) {
                collect(beyond, place, collector);
                place += kBatch * blockDim.x;
                load<false>(beyond, arguments, place);
            }
        }
        return collector.range();
    }

    /// After either of them.
    ///   more    whether there is another slice, and
    ///   stride  elements from this one to it
    OPFORGE_DEVICE void apply(const FakeQuantizeArguments& arguments, const GroupCodec& codec,
                              bool more, i64 stride) {
        if constexpr (!kAllKept) {
            apply_beyond(arguments, codec);
        }
        auto draws = scheduled_draws<kStochastic>(arguments.random, start_);
        Raw* to = static_cast<Raw*>(arguments.output) + start_;
        const i64 to_next =
            static_cast<const Raw*>(arguments.input) - static_cast<Raw*>(arguments.output) + stride;
        uint4* own = own_;
        u32 place = 0;
#pragma unroll 1
        for (u32 stage = 1; stage <= kStages; ++stage) {
            const u32 end = end_of(stage);
#pragma unroll 1
            for (; place < end; place += blockDim.x) {
                store_chunk<Element>(to, apply_chunk(chunk_at(own), codec, draws, arguments),
                                     kCount, true);
                if (more) {
                    copy_async<16, false>(own, to + to_next);
                }
                to += kCount * blockDim.x;
                own += blockDim.x;
                draws.advance(kCount * blockDim.x);
            }
            commit_copies();
        }
        start_ += stride;
    }

private:
    /// Chunks of a thread up to the end of a stage.
    OPFORGE_DEVICE u32 end_of(u32 stage) const {
        const u32 end = stage * stage_;
        return end < kept_ ? end : kept_;
    }
    static OPFORGE_DEVICE Elements chunk_at(const uint4* own) {
        const uint4 words = *own;
        return {{words.x, words.y, words.z, words.w}};
    }

    /// kStage: from 1 on.
    template <u32 kStage>
    OPFORGE_DEVICE void measure_stage(Range::Collector& collector) const {
        wait_for_copies<kStages - kStage>();
        const u32 end = end_of(kStage);
        const u32 begin = (kStage - 1) * stage_;
        const uint4* own = own_ + begin;
#pragma unroll 2
        for (u32 place = begin; place < end; place += blockDim.x) {
            include_words(collector, chunk_at(own));
            own += blockDim.x;
        }
    }

    /// The rows from a chunk of the slice on, as far as they are there. kOnce: no cache need have
    /// them afterwards.
    template <bool kOnce>
    OPFORGE_DEVICE void load(Elements (&batch)[kBatch], const FakeQuantizeArguments& arguments,
                             u32 place) const {
        const Raw* const from =
            static_cast<const Raw*>(arguments.input) + start_ + kCount * static_cast<i64>(place);
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (place + k * blockDim.x < left_) {
                batch[k] = load_aligned<Element, kOnce>(from + k * (kCount * blockDim.x));
            }
        }
    }
    OPFORGE_DEVICE void collect(const Elements (&batch)[kBatch], u32 place,
                                Range::Collector& collector) const {
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (place + k * blockDim.x < left_) {
                include_words(collector, batch[k]);
            }
        }
    }

    OPFORGE_DEVICE void apply_beyond(const FakeQuantizeArguments& arguments,
                                     const GroupCodec& codec) const {
        if (left_ <= kept_) {
            return;
        }
        u32 place = kept_ + (left_ - kept_ - 1) / blockDim.x * blockDim.x;
#pragma unroll 1
        for (;; place -= blockDim.x) {
            const i64 index = start_ + kCount * static_cast<i64>(place);
            const Elements chunk = load_chunk<Element>(
                static_cast<const Raw*>(arguments.input) + index, 0, kCount, true);
            const auto draws = scheduled_draws<kStochastic>(arguments.random, index);
            store_chunk<Element>(static_cast<Raw*>(arguments.output) + index,
                                 apply_chunk(chunk, codec, draws, arguments), kCount, true);
            if (place == kept_) {
                return;
            }
        }
    }

    i64 start_;   // element of the tensor that the thread's first chunk begins with
    u32 stage_;   // chunks, a thread's blockDim.x apart
    u32 left_;    // chunks of the slice from the thread's first one on
    u32 kept_;    // those of them that are in shared memory
    uint4* own_;  // the thread's, blockDim.x apart
};

/// Goes through the groups of the block's team, one at least.
///   number, teams  of the team, and of all
template <bool kAllKept, class Team>
OPFORGE_DEVICE void apply_to_groups(const FakeQuantizeArguments& arguments, const Team& team,
                                    u32 number, u32 teams, uint4* shared) {
    const kernels::GroupLaunch& launch = arguments.launch;
    RingShare<kAllKept> share(arguments, slice_of_group(number, team.rank(), launch), shared);
    Range own = share.measure_first(arguments);
    u32 round = 0;
    i64 group = number;
#pragma unroll 1
    for (;;) {
        const Range range = team.range_of_all(own, round);
        group += teams;
        const bool more = group < launch.groups;
        share.apply(arguments, GroupCodec(range, arguments), more, teams * launch.group_size);
        if (!more) {
            return;
        }
        own = share.measure_next(arguments);
        ++round;
    }
}

}  // namespace opforge
