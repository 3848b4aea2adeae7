// Blocks that share a group: how each tells the others the range of its slice, and learns the
// group's.
#pragma once

#include "opforge/kernels/range.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

#if __CUDA_ARCH__ >= 900

/// The blocks of a cluster, by distributed shared memory; one group each.
template <class Range>
struct ClusterTeam {
    static constexpr bool kKeepsAll = true;  // whether a launch has room for all of every group

    /// Others may still read it when the block is done: every block calls leave() last.
    Range* slot;  // in shared memory
    u32 size;     // blocks, at most 32

    static OPFORGE_DEVICE u32 rank() {
        u32 value;
        asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(value));
        return value;
    }
    /// `range`: of the block's slice, the same in every thread. All threads of the team call it.
    OPFORGE_DEVICE Range range_of_all(const Range& range, u32) const {
        if (threadIdx.x == 0) {
            *slot = range;
        }
        asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
        wait();
        Range total = Range::empty();
        const u32 lane = threadIdx.x % 32;
        if (lane < size) {
            u32 words[Range::kWords];
            const u32 address = static_cast<u32>(__cvta_generic_to_shared(slot));
#pragma unroll
            for (int i = 0; i < Range::kWords; ++i) {
                asm volatile("{ .reg .u32 a; mapa.shared::cluster.u32 a, %1, %2;\n\t"
                             "ld.shared::cluster.u32 %0, [a]; }"
                             : "=r"(words[i])
                             : "r"(address + 4 * i), "r"(lane)
                             : "memory");
            }
            total = Range::of_words(words);
        }
        total = reduce_lanes(total, 32);
        asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
        return total;
    }
    OPFORGE_DEVICE void leave() const {
        wait();
    }

private:
    static OPFORGE_DEVICE void wait() {
        asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
    }
};

#endif

/// Blocks of a cooperative launch, by global memory. A word of a range and the round's tag go into
/// one 64-bit access, so that whoever reads the tag has the word: no fence, no counter, nothing to
/// reset. The caller sees to it that tags do not come again while old ones may be in memory.
template <class Range>
struct GridTeam {
    static constexpr bool kKeepsAll = false;
    // 2 * size * Range::kWords words of the team: a block may be a round ahead of the others.
    u64* board;
    u32 size;       // blocks
    u32 rank;       // of this block
    u32 tag;        // of round 0
    Range* shared;  // one, in shared memory

    /// Brings the board into L2 while the data are on their way.
    OPFORGE_DEVICE void begin() const {
        for (u32 i = threadIdx.x; i < 2 * size * Range::kWords; i += blockDim.x) {
            asm volatile("prefetch.global.L2 [%0];" ::"l"(board + i));
        }
    }
    /// As ClusterTeam::range_of_all. `round`: counts the team's groups from 0.
    OPFORGE_DEVICE Range range_of_all(const Range& range, u32 round) const {
        const u64 now = static_cast<u64>(tag + round) << 32;
        u64* const words = board + (round & 1) * size * Range::kWords;
        if (threadIdx.x == 0) {
            u32 own[Range::kWords];
            range.to_words(own);
#pragma unroll
            for (int i = 0; i < Range::kWords; ++i) {
                asm volatile(
                    "st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(words + rank * Range::kWords + i),
                    "l"(now | own[i])
                    : "memory");
            }
        }
        if (threadIdx.x < 32) {
            Range total = Range::empty();
#pragma unroll 1
            for (u32 i = threadIdx.x; i < size; i += 32) {
                u32 theirs[Range::kWords];
#pragma unroll
                for (int k = 0; k < Range::kWords; ++k) {
                    u64 value;
                    do {
                        asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];"
                                     : "=l"(value)
                                     : "l"(words + i * Range::kWords + k)
                                     : "memory");
                    } while ((value ^ now) >> 32 != 0);
                    theirs[k] = static_cast<u32>(value);
                }
                total.include(Range::of_words(theirs));
            }
            total = reduce_lanes(total, 32);
            if (threadIdx.x == 0) {
                *shared = total;
            }
        }
        __syncthreads();
        const Range result = *shared;
        __syncthreads();
        return result;
    }
};

}  // namespace opforge
