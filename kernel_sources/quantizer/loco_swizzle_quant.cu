// loco_swizzle_quant: as swizzle_quant, of a tensor plus its error, which is updated. Defines:
// program.cuh, quantize_kernels.cuh. Formulas: contract, sections 1.1 and 7.
#include "opforge/kernels/group_sources.cuh"
#include "opforge/kernels/program.cuh"

namespace opforge {
using QuantizeSource = FeedbackSource<ProgramElement, TensorSource<ProgramElement>>;
constexpr bool kStochastic = false;
}  // namespace opforge

#include "opforge/kernels/quantize_kernels.cuh"
