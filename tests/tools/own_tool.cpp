// A user's tool: the verbs of `opforge`, with an op of the user's own beside opforge's.
#include <opforge/embedded/own_tool_kernels.hpp>
#include <opforge/tool/run.hpp>

namespace {

using opforge::builder::ProgramSpec;

class ScaleBuilder final : public opforge::builder::OpBuilder {
public:
    using OpBuilder::OpBuilder;
    [[nodiscard]] std::string name() const override { return "scale"; }
    [[nodiscard]] std::vector<ProgramSpec> programs() const override {
        return {{"double", "scale.cu", {{"FACTOR", "2.0f"}}, {"scale"}},
                {"triple", "scale.cu", {{"FACTOR", "3.0f"}}, {"scale"}}};
    }
    [[nodiscard]] const opforge::EmbeddedSources& embedded() const override {
        return own_tool::kernels();
    }
};

}  // namespace

int main(int argc, char** argv) {
    opforge::tool::Catalog catalog = opforge::tool::own_ops();
    catalog.add<ScaleBuilder>("scale");
    return opforge::tool::run(argc, argv, catalog);
}
