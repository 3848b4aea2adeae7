// DeepSpeed's QuantizerBuilder: the programs of the op `quantizer`.
#pragma once

#include <opforge/builder/op_builder.hpp>

namespace opforge::builder {

class QuantizerBuilder final : public OpBuilder {
public:
    using OpBuilder::OpBuilder;
    /// "quantizer"
    [[nodiscard]] std::string name() const override;
    /// Fake quantization: for each function f of ds_[sr_]quantize[_asym]_{fp16,bf16,fp32} the
    /// programs f_groups (kernel f_groups), f_block (kernel f_block) and f_split (kernels f_range,
    /// f_apply). A call needs one of the three, by its group size, so the first call compiles no
    /// more than that.
    [[nodiscard]] std::vector<ProgramSpec> programs() const override;
    [[nodiscard]] const EmbeddedSources& embedded() const override;
};

}  // namespace opforge::builder
