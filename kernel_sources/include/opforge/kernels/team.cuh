// Blocks that share a group: how each tells the others the range of its slice, and learns the
// group's.
#pragma once

#include "opforge/kernels/range.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

#if __CUDA_ARCH__ >= 900

// Stores that count themselves at a barrier of their target came with PTX 8.1.
#define OPFORGE_COUNTED_STORES                                                                     \
    (__CUDACC_VER_MAJOR__ > 12 || (__CUDACC_VER_MAJOR__ == 12 && __CUDACC_VER_MINOR__ >= 1))

/// The blocks of a cluster, by distributed shared memory: each tells every block its range, by
/// stores that the block's own barrier counts. A barrier of the cluster would have each block wait,
/// in every round, until L2 has all it stored before. A team of one block needs no cluster.
template <class Range>
class ClusterTeam {
public:
    static constexpr u32 kMostBlocks = 8;

    /// In shared memory. A block may be a round ahead of the others.
    struct Board {
        Range warps[2][32];
        Range blocks[2][kMostBlocks];
        u64 told[2];
    };

    ///   size  blocks, a power of two up to kMostBlocks
    OPFORGE_DEVICE ClusterTeam(Board& board, u32 size)
        : board_(board), size_(size), shift_(31 - __clz(static_cast<int>(size))) {
        // Round 0 waits for it: what others store to is there once the block has begun.
        if (size > 1) {
#if OPFORGE_COUNTED_STORES
            if (threadIdx.x == 0) {
                asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;\n\t"
                             "mbarrier.init.shared::cta.b64 [%0 + 8], 1;\n\t"
                             "fence.mbarrier_init.release.cluster;" ::"r"(address_of(board.told))
                             : "memory");
            }
            asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#else
            arrive();
#endif
        }
    }

    OPFORGE_DEVICE u32 rank() const {
        return blockIdx.x & (size_ - 1);
    }
    /// Of the block's team, and of all.
    OPFORGE_DEVICE u32 number() const {
        return blockIdx.x >> shift_;
    }
    OPFORGE_DEVICE u32 teams() const {
        return gridDim.x >> shift_;
    }

    /// `own`: of the thread's share of its group. All threads of the team call it.
    ///   round  counts the team's groups from 0
    OPFORGE_DEVICE Range range_of_all(const Range& own, u32 round) const {
        const u32 half = round & 1;
        const Range of_block = reduce_block<false>(own, board_.warps[half]);
        if (size_ == 1) {
            return of_block;
        }
        if (round == 0) {
            wait();
        }
        tell(of_block, board_.blocks[half] + rank(), address_of(board_.told + half));
        // All that others store to this block is there afterwards, so that a block may end without
        // waiting for the others.
        await(address_of(board_.told + half), round >> 1 & 1);
        const u32 lane = threadIdx.x % 32;
        const Range total = lane < size_ ? board_.blocks[half][lane] : Range::empty();
        return total.reduce_warp();
    }

private:
    static OPFORGE_DEVICE u32 address_of(const void* shared) {
        return static_cast<u32>(__cvta_generic_to_shared(shared));
    }
    static OPFORGE_DEVICE void arrive() {
        asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    }
    static OPFORGE_DEVICE void wait() {
        asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
    }

    /// `place`, `told`: where each block has them.
    OPFORGE_DEVICE void tell(const Range& range, const Range* place, u32 told) const {
        u32 words[Range::kWords];
        range.to_words(words);
#if OPFORGE_COUNTED_STORES
        if (threadIdx.x == 0) {
            asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(told),
                         "r"(size_ * (4 * Range::kWords))
                         : "memory");
        }
#endif
        if (threadIdx.x < size_) {
#pragma unroll
            for (int i = 0; i < Range::kWords; ++i) {
#if OPFORGE_COUNTED_STORES
                asm volatile("{ .reg .u32 a, b; mapa.shared::cluster.u32 a, %0, %2;\n\t"
                             "mapa.shared::cluster.u32 b, %1, %2;\n\t"
                             "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [a], %3, "
                             "[b]; }" ::"r"(address_of(place) + 4 * i),
                             "r"(told), "r"(threadIdx.x), "r"(words[i])
                             : "memory");
#else
                asm volatile("{ .reg .u32 a; mapa.shared::cluster.u32 a, %0, %1;\n\t"
                             "st.shared::cluster.u32 [a], %2; }" ::"r"(address_of(place) + 4 * i),
                             "r"(threadIdx.x), "r"(words[i])
                             : "memory");
#endif
            }
        }
    }

    /// Until every block has told this one.
    static OPFORGE_DEVICE void await(u32 told, u32 parity) {
#if OPFORGE_COUNTED_STORES
        asm volatile("{ .reg .pred done; again: mbarrier.try_wait.parity.shared::cta.b64 done, "
                     "[%0], %1;\n\t @!done bra again; }" ::"r"(told),
                     "r"(parity)
                     : "memory");
#else
        arrive();
        wait();
#endif
    }

    Board& board_;
    u32 size_;
    u32 shift_;
};

#endif

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
