// quantized_reduction and loco_quantized_reduction: the codes of several devices decoded, summed
// and quantized again. Defines: program.cuh, quantize_kernels.cuh and
//   OPFORGE_FEEDBACK  1: with LoCo's error feedback
// Formulas: contract, sections 1.1 and 8.
#include "opforge/kernels/feedback_source.cuh"
#include "opforge/kernels/group_parameters.cuh"
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/sum_source.cuh"

namespace opforge {
#if OPFORGE_ASYMMETRIC
using SummedRecord = AsymmetricRecord;
#else
using SummedRecord = SymmetricRecord;
#endif
#if OPFORGE_FEEDBACK
using QuantizeSource = FeedbackSource<SumSource<ProgramElement, SummedRecord, 2>>;
#else
// 64 bytes of sums a thread.
using QuantizeSource = SumSource<ProgramElement, SummedRecord, 2 * ProgramElement::kPerWord>;
#endif
constexpr bool kStochastic = false;
}  // namespace opforge

#include "opforge/kernels/quantize_kernels.cuh"
