// The kernels of a program that turns groups into codes, for the Source and the rounding that the
// including file has chosen (QuantizeSource, kStochastic), and the defines of program.cuh and
//   OPFORGE_KERNELS  0: <program>_groups  `lanes` threads a group, which have it in registers;
//                                         aligned tensors only
//                    1: <program>_any     the same, of tensors of any alignment and group size
//                    2: <program>_range   ranges of slices of groups, then
//                       <program>_apply   the slices: for groups too large for one block; any
//                                         tensors
//                    3: <program>_batches as _groups, of groups that are too large for their
//                                         threads' registers
//                    4: <program>_cluster clusters that go through the groups, a slice a block;
//                                         aligned tensors, from sm_90 on
//                    5: <program>_small   a lane for each octet of a group, several groups a lane;
//                                         of a tensor, aligned, nearest rounding
// A call needs one of them, so they are programs of their own.
#pragma once

#include "opforge/kernels/program.cuh"
#if OPFORGE_KERNELS == 0 || OPFORGE_KERNELS == 3
#include "opforge/kernels/quantize_batches.cuh"
#elif OPFORGE_KERNELS == 4
#include "opforge/kernels/quantize_ring.cuh"
#elif OPFORGE_KERNELS == 5
#include "opforge/kernels/quantize_small.cuh"
#else
#include "opforge/kernels/quantize_octets.cuh"
#endif

namespace opforge {

#if OPFORGE_ASYMMETRIC
using QuantizeParameters = AsymmetricParameters<QuantizeSource::Format>;
#else
using QuantizeParameters = SymmetricParameters<QuantizeSource::Format>;
#endif

// Most threads of a block, and how many such blocks a multiprocessor should have room for.
[[maybe_unused]] constexpr u32 kBatchThreads = 512;
[[maybe_unused]] constexpr u32 kBatchBlocks =
    kStochastic || (OPFORGE_KERNELS == 4 && ProgramElement::kPerWord == 1)
        ? 2
        : QuantizeSource::kBlocks;

#if OPFORGE_KERNELS == 0
OPFORGE_RESIDENT_KERNEL(groups, kBatchThreads, kBatchBlocks)
(const __grid_constant__ QuantizeArguments arguments) {
    BatchQuantizer<QuantizeSource, QuantizeParameters, kStochastic>::groups(arguments);
}
#elif OPFORGE_KERNELS == 3
OPFORGE_RESIDENT_KERNEL(batches, kBatchThreads, 2)
(const __grid_constant__ QuantizeArguments arguments) {
    BatchQuantizer<QuantizeSource, QuantizeParameters, kStochastic>::batches(arguments);
}
#elif OPFORGE_KERNELS == 5
OPFORGE_RESIDENT_KERNEL(small, 256, 6)(const __grid_constant__ QuantizeArguments arguments) {
    SmallQuantizer<QuantizeSource::Format, QuantizeParameters>::run(arguments);
}
#elif OPFORGE_KERNELS == 4
OPFORGE_RESIDENT_KERNEL(cluster, kBatchThreads, kBatchBlocks)
(const __grid_constant__ QuantizeArguments arguments) {
#if __CUDA_ARCH__ >= 900
    RingQuantizer<QuantizeSource, QuantizeParameters, kStochastic>::run(arguments);
#endif
}
#else
using Quantizer = OctetQuantizer<QuantizeSource, QuantizeParameters, kStochastic>;
#if OPFORGE_KERNELS == 1
OPFORGE_KERNEL(any, 1024)(const __grid_constant__ QuantizeArguments arguments) {
    Quantizer::any(arguments);
}
#else
OPFORGE_KERNEL(range, 1024)(const __grid_constant__ QuantizeArguments arguments) {
    Quantizer::range(arguments);
}
OPFORGE_KERNEL(apply, 1024)(const __grid_constant__ QuantizeArguments arguments) {
    Quantizer::apply(arguments);
}
#endif
#endif

}  // namespace opforge
