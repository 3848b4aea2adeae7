// DeepSpeed's QuantizerBuilder: the programs of the op `quantizer`.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/op_builder.hpp>

namespace opforge::builder {

class OPFORGE_API QuantizerBuilder final : public OpBuilder {
public:
    using OpBuilder::OpBuilder;
    /// "quantizer"
    [[nodiscard]] std::string name() const override;
    /// Fake quantization: for each function f of ds_[sr_]quantize[_asym]_{fp16,bf16,fp32} the
    /// programs f_groups, f_block and f_any (with one kernel of that name) and f_split (kernels
    /// f_range, f_apply). A call needs one of the four, by its group size and alignment, so the
    /// first call compiles no more than that. The ops that make codes: for each f of {quantize,
    /// sr_quantize, loco_swizzle_quant, quantized_reduction,
    /// loco_quantized_reduction}[_asym]_{fp16,bf16,fp32} the programs f_groups and f_split,
    /// likewise; swizzle_quant is quantize's. And dequantize[_asym]_{fp16,bf16,fp32} and
    /// dequantize_experimental (kernels f_slices).
    [[nodiscard]] std::vector<ProgramSpec> programs() const override;
    [[nodiscard]] std::optional<ProgramSpec> program(std::string_view name) const override;
    [[nodiscard]] const EmbeddedSources& embedded() const override;
    /// The default ones, and minimal.
    [[nodiscard]] CompileOptions compile_options() const override;
};

}  // namespace opforge::builder
