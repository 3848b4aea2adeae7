// loco_swizzle_quant: as swizzle_quant, of a tensor plus its error, which is updated. Defines:
// program.cuh, quantize_kernels.cuh. Formulas: contract, sections 1.1 and 7.
#include "opforge/kernels/feedback_source.cuh"
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/tensor_source.cuh"

namespace opforge {
using QuantizeSource = FeedbackSource<TensorSource<ProgramElement, false>, true>;
constexpr bool kStochastic = false;
}  // namespace opforge

#include "opforge/kernels/quantize_kernels.cuh"
