// `opforge` as the operator's guide is tried with: its compiles take no time and need no NVRTC.
#include "support/fake_compiler.hpp"

#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/tool/run.hpp>

#include <memory>
#include <utility>

int main(int argc, char** argv) {
    opforge::tool::Catalog catalog;
    catalog.add("quantizer", [](opforge::builder::BuilderContext context) {
        context.compiler = std::make_shared<opforge::test::FakeCompiler>();
        return std::make_unique<opforge::builder::QuantizerBuilder>(std::move(context));
    });
    return opforge::tool::run(argc, argv, catalog);
}
