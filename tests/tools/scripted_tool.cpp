// A tool whose op compiles as the test says, with no NVRTC: SCRIPTED_PROGRAMS is a list of program
// names, of which the first word tells what happens.
//   takes_<milliseconds>_<anything>   that long, then an artifact
//   fails_<anything>                  an error of the compiler
//   dies_<anything>                   the process that compiles it aborts
//   plain_<anything>                  at once; its source includes no header
#include "support/fake_compiler.hpp"

#include <opforge/builder/errors.hpp>
#ifdef CHANGED_KERNELS
#include <opforge/embedded/changed_tool_kernels.hpp>
#else
#include <opforge/embedded/own_tool_kernels.hpp>
#endif
#include <opforge/tool/run.hpp>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

namespace {

namespace builder = opforge::builder;

int milliseconds_of(const std::string& program) {
    constexpr std::string_view kTakes = "takes_";
    int value = 0;
    if (program.starts_with(kTakes)) {
        std::from_chars(program.data() + kTakes.size(), program.data() + program.size(), value);
    }
    return value;
}

class ScriptedCompiler final : public builder::Compiler {
public:
    std::optional<opforge::cache::Toolchain> toolchain() override { return fake_.toolchain(); }
    opforge::cache::Toolchain require(const builder::Target& target, int driver) override {
        return fake_.require(target, driver);
    }
    builder::CompiledProgram compile(const builder::CompileJob& job) override {
        if (job.program.starts_with("fails")) {
            throw opforge::CompileError(job.program, job.target.name(), job.arguments,
                                        job.program + ".cu(3): error: so it is written");
        }
        if (job.program.starts_with("dies")) {
            std::fputs("the last words of a worker\n", stderr);
            std::abort();
        }
        const std::chrono::milliseconds time(milliseconds_of(job.program));
        std::this_thread::sleep_for(time);
        builder::CompiledProgram compiled = fake_.compile(job);
        compiled.microseconds = std::chrono::microseconds(time).count();
        return compiled;
    }

private:
    opforge::test::FakeCompiler fake_;
};

class ScriptedBuilder final : public builder::OpBuilder {
public:
    using OpBuilder::OpBuilder;
    [[nodiscard]] std::string name() const override { return "scripted"; }
    [[nodiscard]] std::vector<builder::ProgramSpec> programs() const override {
        const char* const list = std::getenv("SCRIPTED_PROGRAMS");
        std::istringstream words(list == nullptr ? "" : list);
        std::vector<builder::ProgramSpec> specs;
        for (std::string name; words >> name;) {
            const char* const source = name.starts_with("plain") ? "plain.cu" : "scale.cu";
            specs.push_back({name, source, {{"FACTOR", name}}, {"scale"}});
        }
        return specs;
    }
    [[nodiscard]] const opforge::EmbeddedSources& embedded() const override {
        return own_tool::kernels();
    }
};

}  // namespace

int main(int argc, char** argv) {
    opforge::tool::Catalog catalog;
    catalog.add("scripted", [](builder::BuilderContext context) {
        context.compiler = std::make_shared<ScriptedCompiler>();
        return std::make_unique<ScriptedBuilder>(std::move(context));
    });
    return opforge::tool::run(argc, argv, catalog);
}
