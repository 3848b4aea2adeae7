// The kernels of a program that turns groups into codes, for the Source and the rounding that the
// including file has chosen (QuantizeSource, kStochastic), and the defines of program.cuh and
//   OPFORGE_KERNELS  0: <program>_groups  `lanes` threads a group; aligned tensors only
//                    1: <program>_any     the same, of tensors of any alignment and group size
//                    2: <program>_range   ranges of slices of groups, then
//                       <program>_apply   the slices: for groups too large for one block; any
//                                         tensors
// A call needs one of the three, so they are programs of their own.
#pragma once

#include "opforge/kernels/program.cuh"
#include "opforge/kernels/quantize_batches.cuh"
#include "opforge/kernels/quantize_octets.cuh"

namespace opforge {

#if OPFORGE_ASYMMETRIC
using QuantizeParameters = AsymmetricParameters<QuantizeSource::Format>;
#else
using QuantizeParameters = SymmetricParameters<QuantizeSource::Format>;
#endif

#if OPFORGE_KERNELS == 0
OPFORGE_KERNEL(groups, 512)(const __grid_constant__ QuantizeArguments arguments) {
    BatchQuantizer<QuantizeSource, QuantizeParameters, kStochastic>::groups(arguments);
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
