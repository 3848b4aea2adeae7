// DeepSpeed's QuantizerBuilder: the programs of the op `quantizer`.
#pragma once

#include <opforge/builder/op_builder.hpp>

namespace opforge::builder {

class QuantizerBuilder final : public OpBuilder {
public:
    using OpBuilder::OpBuilder;
    /// "quantizer"
    [[nodiscard]] std::string name() const override;
    /// Fake quantization: ds_[sr_]quantize[_asym]_{fp16,bf16,fp32}, one program each; its kernels
    /// are <program>_groups, <program>_block, <program>_range, <program>_apply.
    [[nodiscard]] std::vector<ProgramSpec> programs() const override;
    [[nodiscard]] const EmbeddedSources& embedded() const override;
};

}  // namespace opforge::builder
