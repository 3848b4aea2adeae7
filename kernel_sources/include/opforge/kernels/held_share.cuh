// A block's slice of a group, read once where there is room: each thread keeps its first chunks in
// registers, the next in shared memory, and reads what is beyond both again, latest first, since
// that is what L2 still holds; chunks that are kept leave the caches to the others. For slices of
// many chunks a thread, with few threads: as ThreadShare, with four times the registers. Aligned
// tensors only.
#pragma once

#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/fake_quantize_codec.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/no_draws.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

class HeldShare {
    // Chunks under way at once, and chunks in registers. The chunks of a thread are blockDim.x
    // apart.
    static constexpr u32 kBatch = 4;

public:
    /// `shared`: the block's dynamic shared memory, which holds arguments.launch.keeps chunks of
    /// each thread, a multiple of kBatch.
    OPFORGE_DEVICE HeldShare(const FakeQuantizeArguments& arguments, const GroupSlice& slice,
                             uint4* shared)
        : step_(kCount * blockDim.x), shared_(shared + threadIdx.x),
          kept_batches_(arguments.launch.keeps / kBatch) {
        const Raw* const group =
            static_cast<const Raw*>(arguments.input) + slice.group * arguments.launch.group_size;
        from_ = group + slice.begin + kCount * threadIdx.x;
        end_ = group + slice.end;
    }

    OPFORGE_DEVICE Range measure() {
        Range::Collector collector;
        load<true>(held_, from_);
        collect(held_, from_, collector);
        uint4* keep = shared_;
        const Raw* from = from_ + kBatch * step_;
#pragma unroll 1
        for (u32 left = kept_batches_; left > 0 && from < end_; --left) {
            Elements batch[kBatch];
            load<true>(batch, from);
            collect(batch, from, collector);
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                keep[k * blockDim.x] = batch[k].vector();
            }
            keep += kBatch * blockDim.x;
            from += kBatch * step_;
        }
#pragma unroll 1
        for (; from < end_; from += kBatch * step_) {
            Elements batch[kBatch];
            load<false>(batch, from);
            collect(batch, from, collector);
        }
        return collector.range();
    }

    /// After measure().
    OPFORGE_DEVICE void apply(const FakeQuantizeArguments& arguments,
                              const GroupCodec& codec) const {
        if (from_ >= end_) {
            return;
        }
        const i64 to_output =
            static_cast<Raw*>(arguments.output) - static_cast<const Raw*>(arguments.input);
        Raw* const input = const_cast<Raw*>(static_cast<const Raw*>(arguments.input));
        u32 number = static_cast<u32>((end_ - from_ - 1) / kCount) / (kBatch * blockDim.x);
#pragma unroll 1
        for (;; --number) {
            const Raw* from = from_ + static_cast<i64>(number) * (kBatch * step_);
            Elements batch[kBatch];
            if (number == 0) {
#pragma unroll
                for (u32 k = 0; k < kBatch; ++k) {
                    batch[k] = held_[k];
                }
            } else if (number <= kept_batches_) {
                const uint4* const keep = shared_ + (number - 1) * (kBatch * blockDim.x);
#pragma unroll
                for (u32 k = 0; k < kBatch; ++k) {
                    batch[k] = Elements::of(keep[k * blockDim.x]);
                }
            } else {
                load<false>(batch, from);
            }
#pragma unroll
            for (u32 k = 0; k < kBatch; ++k) {
                if (from < end_) {
                    store_chunk<Element>(input + (from - input) + to_output,
                                         apply_chunk(batch[k], codec, NoDraws{}, arguments), kCount,
                                         true);
                }
                from += step_;
            }
            if (number == 0) {
                return;
            }
        }
    }

private:
    /// kOnce: no cache need have it afterwards.
    template <bool kOnce>
    OPFORGE_DEVICE void load(Elements (&batch)[kBatch], const Raw* from) const {
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            batch[k] = {};
            if (from + k * step_ < end_) {
                batch[k] = load_aligned<Element, kOnce>(from + k * step_);
            }
        }
    }
    OPFORGE_DEVICE void collect(const Elements (&batch)[kBatch], const Raw* from,
                                Range::Collector& collector) const {
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (from + k * step_ < end_) {
                include_words(collector, batch[k]);
            }
        }
    }

    const Raw* from_;  // this thread's first element
    const Raw* end_;   // of the slice
    u32 step_;
    Elements held_[kBatch];
    uint4* shared_;
    u32 kept_batches_;
};

}  // namespace opforge
