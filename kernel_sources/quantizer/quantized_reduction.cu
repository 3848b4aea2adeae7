// quantized_reduction and loco_quantized_reduction: the codes of several devices decoded, summed
// and quantized again. Defines: program.cuh, quantize_kernels.cuh and
//   OPFORGE_FEEDBACK  1: with LoCo's error feedback
// Formulas: contract, sections 1.1 and 8.
#include "opforge/kernels/group_sources.cuh"
#include "opforge/kernels/program.cuh"

namespace opforge {
#if OPFORGE_ASYMMETRIC
using QuantizeSum = SumSource<ProgramElement, AsymmetricRecord>;
#else
using QuantizeSum = SumSource<ProgramElement, SymmetricRecord>;
#endif
#if OPFORGE_FEEDBACK
using QuantizeSource = FeedbackSource<ProgramElement, QuantizeSum>;
#else
using QuantizeSource = QuantizeSum;
#endif
constexpr bool kStochastic = false;
}  // namespace opforge

#include "opforge/kernels/quantize_kernels.cuh"
