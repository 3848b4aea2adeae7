// quantize and swizzle_quant: a tensor's groups to codes and records. Defines: program.cuh,
// quantize_kernels.cuh and
//   OPFORGE_STOCHASTIC  0: nearest, 1: stochastic rounding
// Formulas: contract, sections 1.1, 4 and 7.
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/tensor_source.cuh"

namespace opforge {
using QuantizeSource = TensorSource<ProgramElement, OPFORGE_KERNELS == 0>;
constexpr bool kStochastic = OPFORGE_STOCHASTIC != 0;
}  // namespace opforge

#include "opforge/kernels/quantize_kernels.cuh"
