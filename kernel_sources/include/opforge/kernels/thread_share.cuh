// The share of one of `lanes` threads in finding a slice's range, and in applying it. A thread
// keeps its first chunk between the two; what is beyond is read again, from shared memory where the
// launch keeps it there, else from L1 or L2. Loops with one small body compile in half the time of
// loops that keep all elements in registers.
#pragma once

#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/fake_quantize_codec.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/random.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// kAligned: every chunk moves as a whole vector; else the arguments say whether. Then several
/// chunks are under way at once, since one would leave a thread waiting for memory most of the
/// time.
template <bool kAligned>
class ThreadShare {
    // Random numbers need the registers: more threads at a time are worth more than a chunk kept.
    static constexpr bool kHoldsFirst = !kStochastic;
    static constexpr u32 kBatch = kAligned ? 4 : 1;

public:
    /// `shared`: the block's dynamic shared memory, which holds arguments.launch.keeps chunks of
    /// each thread, or null.
    OPFORGE_DEVICE ThreadShare(const FakeQuantizeArguments& arguments, const GroupSlice& slice,
                               u32 lane, u32 lanes, uint4* shared = nullptr)
        : lane_(lane), lanes_(lanes), aligned_(kAligned || arguments.launch.aligned != 0), first_{},
          kept_(shared + threadIdx.x) {
        const i64 start = slice.group * arguments.launch.group_size + slice.begin + kCount * lane;
        from_ = static_cast<const Raw*>(arguments.input) + start;
        to_ = static_cast<Raw*>(arguments.output) + start;
        const i64 size = slice.end > slice.begin ? slice.end - slice.begin : 0;
        chunks_ = static_cast<u32>(static_cast<u64>(size + (kCount - 1)) / kCount);
        last_ = static_cast<u32>(size) - (chunks_ - 1) * kCount;
        if (kAligned) {
            const u32 keeps = shared != nullptr ? arguments.launch.keeps : 0;
            kept_end_ = keeps > 0 ? (keeps + (kHoldsFirst ? 1 : 0)) * lanes : 0;
        }
    }

    OPFORGE_DEVICE Range measure() {
        Range::Collector collector;
        uint4* keep = kept_;
        const Raw* source = from_;
#pragma unroll 1
        for (u32 place = lane_; place < chunks_; place += kBatch * lanes_) {
            Elements batch[kBatch] = {};
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                if (k == 0 || place + k * lanes_ < chunks_) {
                    batch[k] = load_chunk<Element>(source + k * (kCount * lanes_), 0,
                                                   count_at(place), aligned_);
                }
            }
            source += kBatch * (kCount * lanes_);
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                const u32 here = place + k * lanes_;
                if (k > 0 && here >= chunks_) {
                    break;
                }
                include_words(collector, batch[k]);
                if (kHoldsFirst && k == 0 && place == lane_) {
                    first_ = batch[k];
                } else if (kAligned && here < kept_end_) {
                    *keep = batch[k].vector();
                    keep += blockDim.x;
                }
            }
        }
        return collector.range();
    }

    /// kMeasured: measure() has gone over the slice.
    template <bool kMeasured>
    OPFORGE_DEVICE void apply(const FakeQuantizeArguments& arguments, const GroupCodec& codec,
                              const Random<kStochastic>& random) const {
        using Work = Apply<kMeasured && kHoldsFirst, kMeasured && kAligned>;
        random.with_draws(from_ - static_cast<const Raw*>(arguments.input),
                          Work{*this, arguments, codec});
    }

private:
    template <bool kFirstHeld, bool kKept>
    struct Apply {
        const ThreadShare& share;
        const FakeQuantizeArguments& arguments;
        const GroupCodec& codec;

        template <class Draws>
        OPFORGE_DEVICE void operator()(Draws draws) const {
            const Raw* source = share.from_;
            Raw* target = share.to_;
            const uint4* keep = share.kept_;
            Elements chunk = share.first_;
            const u32 lanes = share.lanes_;
#pragma unroll 1
            for (u32 place = share.lane_; place < share.chunks_; place += lanes) {
                const u32 count = share.count_at(place);
                if (!kFirstHeld || place != share.lane_) {
                    if (kKept && place < share.kept_end_) {
                        chunk = Elements::of(*keep);
                        keep += blockDim.x;
                    } else {
                        chunk = load_chunk<Element>(source, 0, count, share.aligned_);
                    }
                }
                source += kCount * lanes;
                store_chunk<Element>(target, apply_chunk(chunk, codec, draws, arguments), count,
                                     share.aligned_);
                target += kCount * lanes;
                draws.advance(kCount * lanes);
            }
        }
    };

    /// Elements of a chunk.
    OPFORGE_DEVICE u32 count_at(u32 place) const {
        return place == chunks_ - 1 ? last_ : kCount;
    }

    const Raw* from_;  // this thread's first element; its chunks are lanes_ chunks apart
    Raw* to_;
    u32 lane_;
    u32 lanes_;
    u32 chunks_;        // of the slice: 2^32 would be 64 GiB
    u32 last_;          // elements of the slice's last chunk
    u32 kept_end_ = 0;  // chunks before this one are in registers or shared memory
    bool aligned_;
    Elements first_;
    uint4* kept_;  // this thread's in shared memory, blockDim.x apart
};

}  // namespace opforge
