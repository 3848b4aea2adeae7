// How a program of many is named and specialised: by defines.
//   OPFORGE_PROGRAM     prefix of the kernels' names, e.g. quantize_asym_fp16
//   OPFORGE_ELEMENT     0: fp16, 1: bf16, 2: fp32
//   OPFORGE_ASYMMETRIC  0: range [-m, m], 1: range [min, max]
#pragma once

#include "opforge/kernels/element.cuh"
#include "opforge/kernels/types.cuh"

#define OPFORGE_PASTE_(a, b) a##_##b
#define OPFORGE_PASTE(a, b) OPFORGE_PASTE_(a, b)
// extern "C": the cubin's name is the manifest's name, so a warm start demangles nothing.
#define OPFORGE_KERNEL(suffix, threads)                                                            \
    extern "C" __global__ void __launch_bounds__(threads) OPFORGE_PASTE(OPFORGE_PROGRAM, suffix)
// The same with registers limited so that `blocks` blocks of `threads` are resident at once. Before
// sm_80 a multiprocessor holds half as many threads.
#if __CUDA_ARCH__ >= 800
#define OPFORGE_RESIDENT_KERNEL(suffix, threads, blocks)                                           \
    extern "C" __global__ void __launch_bounds__(threads, blocks)                                  \
        OPFORGE_PASTE(OPFORGE_PROGRAM, suffix)
#else
#define OPFORGE_RESIDENT_KERNEL(suffix, threads, blocks) OPFORGE_KERNEL(suffix, threads)
#endif

namespace opforge {

#if OPFORGE_ELEMENT == 0
using ProgramElement = Fp16;
#elif OPFORGE_ELEMENT == 1
using ProgramElement = Bf16;
#else
using ProgramElement = Fp32;
#endif

}  // namespace opforge
