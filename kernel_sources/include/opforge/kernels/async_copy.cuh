// Copies from global to shared memory that take no register while they are under way. Before sm_80
// they are ordinary loads and stores.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

/// Of 4, 8 or 16 bytes, both sides aligned to as many. What a thread has copied it may read itself,
/// once it has waited. kThroughL1: where other copies read the rest of the same 32 bytes, which L2
/// would have to send again. Fewer than 16 bytes always go through it.
template <u32 kBytes, bool kThroughL1>
OPFORGE_DEVICE void copy_async(void* to, const void* from) {
    static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "what the hardware copies");
#if __CUDA_ARCH__ >= 800
    const u32 address = static_cast<u32>(__cvta_generic_to_shared(to));
    if (kBytes == 16 && !kThroughL1) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(address), "l"(from),
                     "n"(kBytes)
                     : "memory");
    }
#else
    if (kBytes == 16) {
        *static_cast<uint4*>(to) = *static_cast<const uint4*>(from);
    } else if (kBytes == 8) {
        *static_cast<uint2*>(to) = *static_cast<const uint2*>(from);
    } else {
        *static_cast<u32*>(to) = *static_cast<const u32*>(from);
    }
#endif
}

/// What the thread has copied since the last call is a group.
OPFORGE_DEVICE void commit_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Until all but the latest kGroups groups of the thread are there.
template <int kGroups>
OPFORGE_DEVICE void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
#endif
}

}  // namespace opforge
