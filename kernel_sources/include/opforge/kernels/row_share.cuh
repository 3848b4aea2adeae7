// The share of one of `lanes` threads in finding a slice's range and in applying it, where random
// numbers are drawn: rows of one chunk a thread, read once and kept in shared memory, as registers
// are what the draws need. Aligned tensors and scheduled launches (random_arguments.cuh) only.
#pragma once

#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/fake_quantize_codec.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/random.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

class RowShare {
    static constexpr u32 kBatch = 4;  // rows under way at once
    // Whether the loop that draws counts bytes, with the stride in a register that is opaque to the
    // compiler, or elements and vectors: it orders the same instructions otherwise, which makes
    // asymmetric blocks a tenth faster and the others slower (bench/RESULTS.md).
#if OPFORGE_ASYMMETRIC && OPFORGE_KERNELS == 1
    static constexpr bool kCountsBytes = true;
    using Step = char;
    using KeptStep = char;
#else
    static constexpr bool kCountsBytes = false;
    using Step = Raw;
    using KeptStep = uint4;
#endif

public:
    /// `shared`: the block's dynamic shared memory, which has room for every row.
    OPFORGE_DEVICE RowShare(const FakeQuantizeArguments& arguments, const GroupSlice& slice,
                            u32 lane, u32 lanes, uint4* shared)
        : start_(slice.group * arguments.launch.group_size + slice.begin + kCount * lane),
          lanes_(lanes), shared_(shared + threadIdx.x) {
        const u32 chunks =
            slice.end > slice.begin ? static_cast<u32>((slice.end - slice.begin) / kCount) : 0;
        left_ = chunks > lane ? chunks - lane : 0;
    }

    OPFORGE_DEVICE Range measure(const FakeQuantizeArguments& arguments) const {
        const Raw* from = static_cast<const Raw*>(arguments.input) + start_;
        uint4* keep = shared_;
        u32 place = 0;
        Range::Collector collector;
        // Whole batches without a question for each row; what is left of the last one with.
#pragma unroll 1
        for (; place + (kBatch - 1) * lanes_ < left_; place += kBatch * lanes_) {
            measure_batch<true>(from, place, keep, collector);
            from += kBatch * (kCount * lanes_);
            keep += kBatch * blockDim.x;
        }
        if (place < left_) {
            measure_batch<false>(from, place, keep, collector);
        }
        return collector.range();
    }

    /// After measure().
    OPFORGE_DEVICE void apply(const FakeQuantizeArguments& arguments,
                              const GroupCodec& codec) const {
        auto draws = scheduled_draws<kStochastic>(arguments.random, start_);
        Step* to = reinterpret_cast<Step*>(static_cast<Raw*>(arguments.output) + start_);
        const KeptStep* keep = reinterpret_cast<const KeptStep*>(shared_);
        u32 stride = sizeof(uint4) / sizeof(Step) * lanes_;
        const u32 kept_stride = sizeof(uint4) / sizeof(KeptStep) * blockDim.x;
        if constexpr (kCountsBytes) {
            asm("" : "+r"(stride));
        }
#pragma unroll 1
        for (u32 place = 0; place < left_; place += lanes_) {
            const Elements chunk = Elements::of(*reinterpret_cast<const uint4*>(keep));
            store_chunk<Element>(reinterpret_cast<Raw*>(to),
                                 apply_chunk(chunk, codec, draws, arguments), kCount, true);
            to += stride;
            keep += kept_stride;
            draws.advance(kCount * lanes_);
        }
    }

private:
    template <bool kWhole>
    OPFORGE_DEVICE void measure_batch(const Raw* from, u32 place, uint4* keep,
                                      Range::Collector& collector) const {
        Elements batch[kBatch];
        const auto is_there = [&](u32 k) { return kWhole || place + k * lanes_ < left_; };
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (is_there(k)) {
                batch[k] = load_chunk<Element>(from + k * (kCount * lanes_), 0, kCount, true);
            }
        }
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (is_there(k)) {
                include_words(collector, batch[k]);
                keep[k * blockDim.x] = batch[k].vector();
            }
        }
    }

    i64 start_;      // element of the tensor that the thread's first chunk begins with
    u32 lanes_;      // chunks from row to row
    u32 left_;       // chunks of the slice from the thread's first one on
    uint4* shared_;  // the thread's, blockDim.x apart
};

}  // namespace opforge
