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
    /// In shared memory. A warp may be a round ahead of the others.
    struct Scratch {
        Range warps[2][32];
        Range told[32];
    };

    ///   board  2 * size * Range::kWords words of the team, at a boundary of Range::kWords: a block
    ///          may be a round ahead
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
        const Range of_block = reduce_block<false>(own, scratch_.warps[round & 1]);
        if (size_ == 1) {
            return of_block;
        }
        const u64 now = static_cast<u64>(tag_ + round) << 32;
        u64* const words = board_ + (round & 1) * size_ * Range::kWords;
        if (threadIdx.x == 0) {
            tell(of_block, words + rank_ * Range::kWords, now);
        }
        // Each thread waits for another block: one after the other they would be as many round
        // trips to L2.
        Range theirs = Range::empty();
#pragma unroll 1
        for (u32 i = threadIdx.x; i < size_; i += blockDim.x) {
            theirs.include(wait_for(words + i * Range::kWords, now));
        }
        return reduce_block<false>(theirs, scratch_.told);
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
        static_assert(Range::kWords <= 2, "what one access can have");
        u64 value[2] = {now, now};
        do {
            if constexpr (Range::kWords == 1) {
                asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];"
                             : "=l"(value[0])
                             : "l"(words)
                             : "memory");
            } else {
                asm volatile("ld.relaxed.gpu.global.v2.u64 {%0, %1}, [%2];"
                             : "=l"(value[0]), "=l"(value[1])
                             : "l"(words)
                             : "memory");
            }
        } while (((value[0] ^ now) | (value[1] ^ now)) >> 32 != 0);
        u32 theirs[Range::kWords];
#pragma unroll
        for (int i = 0; i < Range::kWords; ++i) {
            theirs[i] = static_cast<u32>(value[i]);
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
