// The op: its programs, and where their text is. All the rest (targets, compiling, cache, loading)
// is opforge's.
#pragma once

#include <opforge/builder/instantiation.hpp>
#include <opforge/builder/op_builder.hpp>
#include <opforge/embedded/own_op_kernels.hpp>

inline std::string scale_of_floats() {
    return opforge::builder::instantiation("scale", opforge::builder::type<float>);
}

class MyOpBuilder final : public opforge::builder::OpBuilder {
public:
    using OpBuilder::OpBuilder;
    [[nodiscard]] std::string name() const override { return "my_op"; }
    [[nodiscard]] std::vector<opforge::builder::ProgramSpec> programs() const override {
        return {{"double", "scale.cu", {{"FACTOR", "2"}}, {scale_of_floats()}},
                {"triple", "scale.cu", {{"FACTOR", "3"}}, {scale_of_floats()}}};
    }
    [[nodiscard]] const opforge::EmbeddedSources& embedded() const override {
        return own_op::kernels();
    }
};
