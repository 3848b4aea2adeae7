// An op of a user's own, from its text to its kernels, by the real compiler.
#include "builder/usable_nvrtc.hpp"
#include "support/fake_driver.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/builder/errors.hpp>
#include <opforge/builder/instantiation.hpp>
#include <opforge/builder/op_builder.hpp>
#include <opforge/builder/source_set.hpp>
#include <opforge/driver/context.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <iostream>

using namespace opforge;
using namespace opforge::builder;
using Catch::Matchers::Contains;

namespace {

SourceSet set_of(std::vector<SourceText> sources, std::vector<SourceText> headers = {},
                 std::vector<std::filesystem::path> directories = {}) {
    return SourceSet({std::move(sources), std::move(headers), std::move(directories)});
}

const std::string kScaled = instantiation("scaled", type<float>, value<3>);

class MyOp final : public OpBuilder {
public:
    MyOp(SourceSet sources, ProgramSpec program, BuilderContext context)
        : OpBuilder(std::move(context)), sources_(std::move(sources)),
          program_(std::move(program)) {}
    [[nodiscard]] std::string name() const override { return "my_op"; }
    [[nodiscard]] std::vector<ProgramSpec> programs() const override { return {program_}; }
    [[nodiscard]] const EmbeddedSources& embedded() const override { return sources_.embedded(); }
    [[nodiscard]] CompileOptions compile_options() const override { return options; }

    CompileOptions options;

private:
    SourceSet sources_;
    ProgramSpec program_;
};

SourceSet template_source() {
    return set_of({{"my/scaled.cu", "#include \"factor.cuh\"\n"
                                    "template <class T, int N> __global__ void scaled(T* x) {\n"
                                    "    x[threadIdx.x] *= FACTOR * N;\n"
                                    "}\n"}},
                  {{"factor.cuh", "#define FACTOR (BASE + 1)\n"}});
}

ProgramSpec template_program() {
    return {"scaled_by_3", "my/scaled.cu", {{"BASE", "1"}}, {kScaled}, Wants::none};
}

BuilderContext in_memory() {
    BuilderContext context;
    context.cache = std::make_shared<cache::Cache>(cache::CacheOptions{std::nullopt, true});
    return context;
}

std::string error_of(const std::string& text) {
    const MyOp op(set_of({{"mine/broken.cu", text}}),
                  {"broken", "mine/broken.cu", {}, {"broken"}, Wants::none}, in_memory());
    return op.build(parse_target("sm_90")).at(0).error;
}

}  // namespace

TEST_CASE("a template's instance is compiled, loaded by its public name and launched by type",
          "[nvrtc]") {
    if (!test::find_nvrtc()) {
        return;
    }
    test::FakeDriver driver;
    driver.set_version(13000);
    BuilderContext context = in_memory();
    context.driver = &driver;
    const MyOp op(template_source(), template_program(), std::move(context));
    const auto loaded = op.load(0);
    const auto record = loaded->programs().at(0)->manifest().kernels.at(0);
    CHECK(record.name == "scaled<float, 3>");
    CHECK(record.lowered_name == "_Z6scaledIfLi3EEvPT_");
    driver.set_kernel_parameters(record.lowered_name, {8});
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    CHECK_NOTHROW(loaded->kernel<void(float*)>(kScaled));
    CHECK_THROWS_WITH((loaded->kernel<void(float*, int)>(kScaled)),
                      Contains("scaled_by_3: scaled<float, 3>"));
}

TEST_CASE("a user's header, defines and options are in the key", "[builder]") {
    const MyOp op(template_source(), template_program(), in_memory());
    const cache::Request request = op.request(template_program(), parse_target("sm_90"));
    REQUIRE(request.headers.size() == 1);
    CHECK(request.headers[0].name == "factor.cuh");
    CHECK(request.kernels == std::vector<std::string>{"scaled<float, 3>"});

    MyOp with_lines(template_source(), template_program(), in_memory());
    with_lines.options.line_info = true;
    CHECK(want_digest(with_lines.request(template_program(), parse_target("sm_90"))) !=
          want_digest(request));
}

TEST_CASE("a program that wants sm_90a is compiled for it, and one that does not is not",
          "[nvrtc]") {
    if (!test::find_nvrtc()) {
        return;
    }
    ProgramSpec program = {"warpgroup", "wg.cu", {}, {"warpgroup"}, Wants::architecture};
    const auto source = [] {
        return set_of({{"wg.cu", "extern \"C\" __global__ void warpgroup() {\n"
                                 "    asm volatile(\"wgmma.fence.sync.aligned;\");\n}\n"}});
    };
    const auto outcomes = MyOp(source(), program, in_memory()).build(parse_target("9.0a"));
    CHECK(outcomes.at(0).error.empty());
    CHECK(outcomes.at(0).target.name() == "sm_90a");
    program.wants = Wants::none;
    CHECK_THAT(MyOp(source(), program, in_memory()).build(parse_target("9.0a")).at(0).error,
               Contains("wgmma"));
}

TEST_CASE("a compile error has the user's own file name and line", "[nvrtc]") {
    if (!test::find_nvrtc()) {
        return;
    }
    CHECK_THAT(error_of("extern \"C\" __global__ void broken() {\n\n    undeclared = 1;\n}\n"),
               Contains("mine/broken.cu(3): error: identifier \"undeclared\" is undefined"));
    const MyOp op(set_of({{"a.cu", "#include \"deep/b.cuh\"\n"}},
                         {{"deep/b.cuh", "#include \"c.cuh\"\n"}, {"deep/c.cuh", "\nint x = ;\n"}}),
                  {"a", "a.cu", {}, {"a"}, Wants::none}, in_memory());
    CHECK_THAT(op.build(parse_target("sm_90")).at(0).error, Contains("deep/c.cuh(2): error"));
}

TEST_CASE("PTX, cubin and log are kept where they are asked for", "[nvrtc]") {
    if (!test::find_nvrtc()) {
        return;
    }
    const test::TemporaryDirectory folder;
    BuilderContext context = in_memory();
    context.keep_directory = folder.path() / "kept";
    const MyOp op(template_source(), template_program(), context);
    REQUIRE(op.build(parse_target("sm_90")).at(0).error.empty());
    const auto kept = folder.path() / "kept";
    CHECK_THAT(test::read_file(kept / "my_op.scaled_by_3.sm_90.ptx"),
               Contains(".target sm_90") && Contains("_Z6scaledIfLi3EEvPT_"));
    CHECK(test::read_file(kept / "my_op.scaled_by_3.sm_90.cubin")
              .starts_with("\x7f"
                           "ELF"));

    // Of a hit there is no PTX, but the code that is loaded.
    std::filesystem::remove_all(kept);
    REQUIRE_FALSE(op.build(parse_target("sm_90")).at(0).compiled);
    CHECK(std::filesystem::exists(kept / "my_op.scaled_by_3.sm_90.cubin"));
    CHECK_FALSE(std::filesystem::exists(kept / "my_op.scaled_by_3.sm_90.ptx"));
}

TEST_CASE("SASS is kept where there is a disassembler", "[nvrtc]") {
    if (!test::find_nvrtc()) {
        return;
    }
    const test::TemporaryDirectory folder;
    std::filesystem::create_directory(folder.path() / "bin");
    test::write_file(folder.path() / "bin/nvdisasm", "#!/bin/sh\necho \"/*0000*/ EXIT of $1\"\n");
    std::filesystem::permissions(folder.path() / "bin/nvdisasm", std::filesystem::perms::owner_all);
    const std::string path = (folder.path() / "bin").string() + ":" + std::getenv("PATH");
    ::setenv("PATH", path.c_str(), 1);
    BuilderContext context = in_memory();
    context.keep_directory = folder.path();
    REQUIRE(MyOp(template_source(), template_program(), context)
                .build(parse_target("sm_90"))
                .at(0)
                .error.empty());
    CHECK_THAT(test::read_file(folder.path() / "my_op.scaled_by_3.sm_90.sass"),
               Contains("EXIT of") && Contains("my_op.scaled_by_3.sm_90.cubin"));
}

TEST_CASE("line information is in the code where it is asked for", "[nvrtc]") {
    if (!test::find_nvrtc()) {
        return;
    }
    const auto has_line_table = [](bool line_info) {
        const test::TemporaryDirectory folder;
        BuilderContext context = in_memory();
        context.keep_directory = folder.path();
        MyOp op(template_source(), template_program(), context);
        op.options.line_info = line_info;
        REQUIRE(op.build(parse_target("sm_90")).at(0).error.empty());
        const std::string code = test::read_file(folder.path() / "my_op.scaled_by_3.sm_90.cubin");
        // The section's name, and the user's file in it: what a profiler shows.
        return code.find(".debug_line") != std::string::npos &&
               code.find("scaled.cu") != std::string::npos;
    };
    CHECK(has_line_table(true));
    CHECK_FALSE(has_line_table(false));
}

TEST_CASE("a toolkit's header goes into the key, and compiles", "[nvrtc]") {
    const std::filesystem::path include = "/usr/local/cuda/include";
    if (!test::find_nvrtc()) {
        return;
    }
    if (!std::filesystem::exists(include / "cuda_fp16.h")) {
        std::cout << "SKIPPED: no cuda_fp16.h in /usr/local/cuda/include\n";
        return;
    }
    const MyOp op(set_of({{"half.cu", "#include <cuda_fp16.h>\n"
                                      "extern \"C\" __global__ void twice(__half* x) {\n"
                                      "    x[0] = __hadd(x[0], x[0]);\n}\n"}},
                         {}, {include}),
                  {"twice", "half.cu", {}, {"twice"}, Wants::none}, in_memory());
    const BuildOutcome outcome = op.build(parse_target("sm_90")).at(0);
    CHECK(outcome.error.empty());
    const auto headers = op.request(op.programs()[0], parse_target("sm_90")).headers;
    CHECK(std::any_of(headers.begin(), headers.end(),
                      [](const auto& header) { return header.name == "cuda_fp16.h"; }));
}
