// Blocks of a cluster that share a group: how each tells the others the range of its slice, and
// learns the group's. From sm_90 on.
#pragma once

#include "opforge/kernels/range.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

#if __CUDA_ARCH__ >= 900

// Stores that count themselves at a barrier of their target came with PTX 8.1.
#ifndef OPFORGE_COUNTED_STORES
#define OPFORGE_COUNTED_STORES                                                                     \
    (__CUDACC_VER_MAJOR__ > 12 || (__CUDACC_VER_MAJOR__ == 12 && __CUDACC_VER_MINOR__ >= 1))
#endif

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

}  // namespace opforge
