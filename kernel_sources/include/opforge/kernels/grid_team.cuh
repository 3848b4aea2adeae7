// Blocks of a launch that share a group: as cluster_team.cuh, on every architecture.
#pragma once

#include "opforge/kernels/range.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// Blocks that are all resident, by global memory. A word of a range and the round's tag go into
/// one 64-bit access, so that whoever reads the tag has the word: no fence, no counter, nothing to
/// reset. The caller sees to it that tags do not come again while old ones may be in memory. A team
/// of one needs no memory.
template <class Range>
class GridTeam {
public:
    /// In shared memory.
    struct Scratch {
        Range warps[32];
        Range total;
    };

    ///   board  2 * size * Range::kWords words of the team: a block may be a round ahead
    ///   size   blocks
    ///   rank   of this one
    ///   tag    of round 0
    OPFORGE_DEVICE GridTeam(Scratch& scratch, u64* board, u32 size, u32 rank, u32 tag)
        : scratch_(scratch), board_(board), size_(size), rank_(rank), tag_(tag) {
        // Brings the board into L2 while the data are on their way.
        if (size > 1) {
            for (u32 i = threadIdx.x; i < 2 * size * Range::kWords; i += blockDim.x) {
                asm volatile("prefetch.global.L2 [%0];" ::"l"(board + i));
            }
        }
    }

    OPFORGE_DEVICE u32 rank() const { return rank_; }
    /// As ClusterTeam::range_of_all.
    OPFORGE_DEVICE Range range_of_all(const Range& own, u32 round) const {
        const Range of_block = reduce_block(own, scratch_.warps);
        if (size_ == 1) {
            return of_block;
        }
        const u64 now = static_cast<u64>(tag_ + round) << 32;
        u64* const words = board_ + (round & 1) * size_ * Range::kWords;
        if (threadIdx.x == 0) {
            tell(of_block, words + rank_ * Range::kWords, now);
        }
        if (threadIdx.x < 32) {
            Range total = Range::empty();
#pragma unroll 1
            for (u32 i = threadIdx.x; i < size_; i += 32) {
                total.include(wait_for(words + i * Range::kWords, now));
            }
            total = reduce_lanes(total, 32);
            if (threadIdx.x == 0) {
                scratch_.total = total;
            }
        }
        __syncthreads();
        const Range result = scratch_.total;
        __syncthreads();
        return result;
    }

private:
    static OPFORGE_DEVICE void tell(const Range& range, u64* words, u64 now) {
        u32 own[Range::kWords];
        range.to_words(own);
#pragma unroll
        for (int i = 0; i < Range::kWords; ++i) {
            asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(words + i), "l"(now | own[i])
                         : "memory");
        }
    }
    static OPFORGE_DEVICE Range wait_for(const u64* words, u64 now) {
        u32 theirs[Range::kWords];
#pragma unroll
        for (int i = 0; i < Range::kWords; ++i) {
            u64 value;
            do {
                asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];"
                             : "=l"(value)
                             : "l"(words + i)
                             : "memory");
            } while ((value ^ now) >> 32 != 0);
            theirs[i] = static_cast<u32>(value);
        }
        return Range::of_words(theirs);
    }

    Scratch& scratch_;
    u64* board_;
    u32 size_;
    u32 rank_;
    u32 tag_;
};

}  // namespace opforge
