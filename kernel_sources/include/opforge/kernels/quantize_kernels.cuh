// The kernels of a program that turns groups into codes, for the Source and the rounding that the
// including file has chosen (QuantizeSource, kStochastic), and the defines of program.cuh and
//   OPFORGE_KERNELS  0: <program>_groups  `lanes` threads a group
//                    1: <program>_range   ranges of slices of groups, then
//                       <program>_apply   the slices: for groups too large for one block
// A call needs one of the two, so they are programs of their own.
#pragma once

#include "opforge/kernels/group_quantize.cuh"
#include "opforge/kernels/program.cuh"

namespace opforge {

#if OPFORGE_ASYMMETRIC
using QuantizeParameters = AsymmetricParameters<QuantizeSource::RangeElement>;
#else
using QuantizeParameters = SymmetricParameters<QuantizeSource::RangeElement>;
#endif
using Quantizer = GroupQuantizer<QuantizeSource, QuantizeParameters, kStochastic>;

#if OPFORGE_KERNELS == 0
OPFORGE_KERNEL(groups, 1024)(const __grid_constant__ QuantizeArguments arguments) {
    Quantizer::groups(arguments);
}
#else
OPFORGE_KERNEL(range, 1024)(const __grid_constant__ QuantizeArguments arguments) {
    Quantizer::range(arguments);
}
OPFORGE_KERNEL(apply, 1024)(const __grid_constant__ QuantizeArguments arguments) {
    Quantizer::apply(arguments);
}
#endif

}  // namespace opforge
