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
// 64 bytes of sums a thread, and two devices under way; with feedback, symmetric codes of fp16
// leave room for the error and for two devices more, if there are half as many sums; sums of fp32
// for the devices only.
constexpr bool kErrorFirst =
    OPFORGE_FEEDBACK && !OPFORGE_ASYMMETRIC && ProgramElement::kScalesAreFinite;
constexpr int kOctets = ProgramElement::kPerWord == 1 || kErrorFirst ? 2 : 4;
constexpr u32 kDepth = OPFORGE_FEEDBACK && kOctets == 2 ? 4 : 2;
using Sums = SumSource<ProgramElement, SummedRecord, kOctets, kDepth>;
#if OPFORGE_FEEDBACK
using QuantizeSource = FeedbackSource<Sums, kErrorFirst>;
#else
using QuantizeSource = Sums;
#endif
constexpr bool kStochastic = false;
}  // namespace opforge

#include "opforge/kernels/quantize_kernels.cuh"
