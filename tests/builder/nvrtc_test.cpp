// The real NVRTC. No GPU and no driver are needed.
#include "builder/usable_nvrtc.hpp"
#include "cubin_facts.hpp"
#include "fake_elf.hpp"
#include "support/child_process.hpp"
#include "support/nvcc.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/errors.hpp>
#include <opforge/builder/nvrtc_discovery.hpp>
#include <opforge/builder/quantizer_builder.hpp>

#include <catch2/catch.hpp>

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::builder;
using Catch::Matchers::Contains;
using test::find_nvrtc;
namespace fs = std::filesystem;

namespace {

// A compile of `source` as the builder would ask for it.
struct Compile {
    std::string source;
    std::vector<EmbeddedFile> headers = {};
    CompileOptions options = {};
    std::vector<std::string> kernels = {"kernel"};
    Target target = parse_target("sm_90");

    [[nodiscard]] CompiledProgram run() const {
        const auto compiler = nvrtc_compiler();
        CompileJob job;
        job.program = "test_program";
        job.source_name = "op/test.cu";
        job.source = source;
        job.headers = headers;
        job.arguments = options.nvrtc_arguments(target);
        job.minimal = options.minimal;
        job.kernels = kernels;
        job.target = target;
        job.toolchain = compiler->require(target, 0);
        return compiler->compile(job);
    }
    // The error's text, or an empty one where it compiled.
    [[nodiscard]] std::string failure() const {
        try {
            static_cast<void>(run());
            return {};
        } catch (const CompileError& error) {
            return error.what();
        }
    }
};

constexpr const char* kKernel = "extern \"C\" __global__ void kernel(float* x) { x[0] = 1.0f; }\n";

BuilderContext in_memory() {
    BuilderContext context;
    context.cache = std::make_shared<cache::Cache>(cache::CacheOptions{std::nullopt, true});
    return context;
}

void check_program(const char* target, const std::string& program) {
    const QuantizerBuilder builder(in_memory());
    const BuildOutcome outcome = builder.build_program(parse_target(target), program);
    CAPTURE(program, target);
    CHECK(outcome.error.empty());
    CHECK(outcome.compiled);
    CHECK(outcome.size_bytes > 1000);
}

// All of one function's programs, and of its asymmetric twin's.
void check_both(const std::string& rounding, const std::string& element) {
    if (!find_nvrtc()) {
        return;
    }
    for (const std::string symmetry : {"_", "_asym_"}) {
        for (const char* launching : {"_groups", "_block", "_split"}) {
            check_program("sm_90", "ds_" + rounding + "quantize" + symmetry + element + launching);
        }
    }
}

void check_target(const char* target, const std::string& program) {
    if (find_nvrtc()) {
        check_program(target, program);
    }
}

// A folder to stand in, left again at the end of the scope.
class StandingIn {
public:
    explicit StandingIn(const fs::path& folder) : before_(fs::current_path()) {
        fs::current_path(folder);
    }
    StandingIn(const StandingIn&) = delete;
    StandingIn& operator=(const StandingIn&) = delete;
    ~StandingIn() { fs::current_path(before_); }

private:
    fs::path before_;
};

// Whether the probe's listing of its own mappings, a path a line, names the library.
bool maps(const std::string& output, const std::string& library) {
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('/') && line.find(library) != std::string::npos) {
            return true;
        }
    }
    return false;
}

// The library under another name in `folder`: a hard link where it is possible, for it has 109 MB.
void copy_library(const fs::path& library, const fs::path& to) {
    std::error_code error;
    fs::create_hard_link(fs::canonical(library), to, error);
    if (error) {
        fs::copy_file(library, to);
    }
}

}  // namespace

// --- the quantizer's programs

TEST_CASE("the fp16 programs of nearest rounding compile", "[nvrtc]") {
    check_both("", "fp16");
}

TEST_CASE("the fp16 programs of stochastic rounding compile", "[nvrtc]") {
    check_both("sr_", "fp16");
}

TEST_CASE("the bf16 programs of nearest rounding compile", "[nvrtc]") {
    check_both("", "bf16");
}

TEST_CASE("the bf16 programs of stochastic rounding compile", "[nvrtc]") {
    check_both("sr_", "bf16");
}

TEST_CASE("the fp32 programs of nearest rounding compile", "[nvrtc]") {
    check_both("", "fp32");
}

TEST_CASE("the fp32 programs of stochastic rounding compile", "[nvrtc]") {
    check_both("sr_", "fp32");
}

TEST_CASE("a program compiles for sm_75", "[nvrtc]") {
    check_target("sm_75", "ds_quantize_bf16_split");
}

TEST_CASE("a program compiles for sm_80", "[nvrtc]") {
    check_target("sm_80", "ds_quantize_fp32_block");
}

TEST_CASE("a program compiles for sm_100", "[nvrtc]") {
    check_target("sm_100", "ds_quantize_asym_fp32_groups");
}

TEST_CASE("a program compiles for sm_120", "[nvrtc]") {
    check_target("sm_120", "ds_quantize_fp16_groups");
}

TEST_CASE("a program compiles for compute_90", "[nvrtc]") {
    check_target("compute_90", "ds_quantize_asym_fp16_block");
}

TEST_CASE("a program's registers and shared memory are known from its cubin", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    const std::string source = "extern \"C\" __global__ void kernel(float* x) {\n"
                               "    __shared__ float s[128];\n"
                               "    s[threadIdx.x] = x[threadIdx.x];\n"
                               "    __syncthreads();\n"
                               "    x[0] = s[5];\n"
                               "}\n"
                               "extern \"C\" __global__ void plain(float* x) { x[0] = 1.0f; }\n";
    for (const char* target : {"sm_75", "sm_90", "sm_100", "sm_120"}) {
        CAPTURE(target);
        const Compile compile{source, {}, {}, {"kernel", "plain"}, parse_target(target)};
        const CompiledProgram compiled = compile.run();
        REQUIRE(compiled.kernels.size() == 2);
        CHECK(compiled.kernels[0].registers > 4);
        CHECK(compiled.kernels[0].registers <= 255);
        CHECK(compiled.kernels[0].static_shared_bytes == 512);
        CHECK(compiled.kernels[1].static_shared_bytes == 0);
    }
}

TEST_CASE("registers and shared memory are those that ptxas prints", "[nvrtc]") {
    const auto nvcc = test::find_nvcc();
    if (!nvcc) {
        return;
    }
    const test::TemporaryDirectory folder;
    test::write_file(folder.path() / "test.cu",
                     "extern \"C\" __global__ void kernel(float* x) {\n"
                     "    __shared__ float s[256];\n"
                     "    s[threadIdx.x] = x[threadIdx.x] / x[threadIdx.x + 1];\n"
                     "    __syncthreads();\n"
                     "    x[0] = s[5] + s[6];\n"
                     "}\n");
    for (const char* target : {"sm_80", "sm_90"}) {
        CAPTURE(target);
        const fs::path cubin = folder.path() / "test.cubin";
        const auto run = test::run_program({*nvcc, "-cubin", "-arch", target, "-Xptxas", "-v",
                                            folder.path() / "test.cu", "-o", cubin});
        INFO(run.output);
        REQUIRE(run.exit_code == 0);
        const auto facts = read_cubin_facts(as_bytes(test::read_file(cubin)));
        REQUIRE(facts.size() == 1);
        CHECK_THAT(run.output,
                   Contains("Used " + std::to_string(facts[0].registers) + " registers"));
        CHECK_THAT(run.output,
                   Contains(std::to_string(facts[0].static_shared_bytes) + " bytes smem"));
    }
}

TEST_CASE("a register limit reaches the compiler", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    // 64 values that are all alive at the barrier.
    const std::string source =
        "extern \"C\" __global__ void kernel(float* x) {\n"
        "    float v[64];\n"
        "    #pragma unroll\n"
        "    for (int i = 0; i < 64; ++i) v[i] = x[i * 32 + threadIdx.x];\n"
        "    __syncthreads();\n"
        "    #pragma unroll\n"
        "    for (int i = 0; i < 64; ++i) x[i * 64 + threadIdx.x] = v[i] * v[(i * 7 + 3) % 64];\n"
        "}\n";
    Compile compile{source};
    const auto unlimited = compile.run().kernels.at(0).registers;
    compile.options.max_registers = 32;
    CHECK(compile.run().kernels.at(0).registers <= 32);
    CHECK(unlimited > 32);
}

// --- what NVRTC makes

TEST_CASE("a compile is the same bytes every time", "[nvrtc]") {
    if (find_nvrtc()) {
        CHECK(Compile{kKernel}.run().artifact == Compile{kKernel}.run().artifact);
    }
}

TEST_CASE("PTX ends in the NUL that the driver wants", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    const Compile compile{kKernel, {}, {}, {"kernel"}, parse_target("compute_90")};
    const CompiledProgram compiled = compile.run();
    REQUIRE(compiled.artifact.size() > 100);
    CHECK(compiled.artifact.back() == std::byte{0});
    CHECK(compiled.kernels.at(0).registers == -1);
}

TEST_CASE("a template's kernel is kept with its lowered name", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    const Compile compile{"template <typename T> __global__ void fill(T* x) { x[0] = T(1); }\n",
                          {},
                          {},
                          {"fill<float>", "fill<int>"}};
    const CompiledProgram compiled = compile.run();
    REQUIRE(compiled.kernels.size() == 2);
    CHECK(compiled.kernels[0].name == "fill<float>");
    CHECK(compiled.kernels[0].lowered_name == "_Z4fillIfEvPT_");
    CHECK(compiled.kernels[1].lowered_name == "_Z4fillIiEvPT_");
    CHECK(compiled.kernels[0].registers > 0);
}

TEST_CASE("a*b+c is not contracted unless asked for", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    Compile compile{
        "extern \"C\" __global__ void kernel(float* x) { x[0] = x[1] * x[2] + x[3]; }\n"};
    compile.target = parse_target("compute_90");
    const auto ptx = [&] {
        const Bytes bytes = compile.run().artifact;
        return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    CHECK(ptx().find("fma.rn") == std::string::npos);
    compile.options.contract_fma = true;
    CHECK(ptx().find("fma.rn") != std::string::npos);
}

TEST_CASE("a define's value arrives as it was written", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    Compile compile{
        "constexpr char text[] = TEXT;\n"
        "static_assert(sizeof(text) == 13 && text[1] == ' ' && text[2] == '\\\\', \"\");\n"
        "static_assert(SUM == 3, \"\");\n" +
        std::string(kKernel)};
    compile.options.defines = {{"TEXT", R"("a \\\"b\"; -D=1")"}, {"SUM", "(1 + 2)"}};
    CHECK(compile.failure().empty());
}

TEST_CASE("NVRTC's own variables change nothing behind the key", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    const Bytes plain = Compile{kKernel}.run().artifact;
    ::setenv("NVRTC_APPEND_FLAGS", "--fmad=true -maxrregcount=16 --device-debug", 1);
    ::setenv("NVRTC_PREPEND_FLAGS", "--device-debug", 1);
    const Bytes with_variables = Compile{kKernel}.run().artifact;
    ::unsetenv("NVRTC_APPEND_FLAGS");
    ::unsetenv("NVRTC_PREPEND_FLAGS");
    CHECK(plain == with_variables);
}

// --- sources that do not compile

TEST_CASE(
    "a source that does not compile is an error with the log, the file, the line and the options",
    "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    const std::string failure =
        Compile{"\n\nextern \"C\" __global__ void kernel() { undeclared(); }\n"}.failure();
    CHECK_THAT(failure, Contains("op/test.cu(3): error") && Contains("undeclared") &&
                            Contains("test_program") && Contains("sm_90") &&
                            Contains("--fmad=false"));
}

TEST_CASE("an error in a header is told with the header's virtual name and line", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    Compile compile{"#include \"op/part.cuh\"\n" + std::string(kKernel)};
    compile.headers = {{"op/part.cuh", "// first\nint broken = ;\n", ""}};
    CHECK_THAT(compile.failure(), Contains("op/part.cuh(2): error"));
}

TEST_CASE("a kernel that the source lacks, or that is not extern \"C\", is named", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    CHECK_THAT((Compile{kKernel, {}, {}, {"kernel", "absent"}}.failure()),
               Contains("no kernel absent"));
    CHECK_THAT((Compile{"__global__ void kernel(float* x) { x[0] = 1; }\n"}.failure()),
               Contains("no kernel kernel") && Contains("extern \"C\""));
    Compile ptx{kKernel, {}, {}, {"kern"}, parse_target("compute_90")};
    CHECK_THAT(ptx.failure(), Contains("no kernel kern;"));
}

TEST_CASE("a failed compile of an op leaves the other programs and says which", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    static constexpr EmbeddedSource kSources[] = {
        {{"broken.cu", "#error no such luck\n",
          "0f1b96bb9fc3ca8ec1b1a3b0a5ae5b8ed57fcd1a1ed1cb6bde5e8bfbb4a2b7a1"},
         {}}};
    class BrokenOp final : public OpBuilder {
    public:
        using OpBuilder::OpBuilder;
        [[nodiscard]] std::string name() const override { return "broken"; }
        [[nodiscard]] std::vector<ProgramSpec> programs() const override {
            return {{"broken_program", "broken.cu", {}, {"kernel"}, Wants::none}};
        }
        [[nodiscard]] const EmbeddedSources& embedded() const override {
            static constexpr EmbeddedSources kEmbedded{kSources};
            return kEmbedded;
        }
    };
    const auto outcomes = BrokenOp(in_memory()).build(parse_target("sm_90"));
    REQUIRE(outcomes.size() == 1);
    CHECK(outcomes[0].error_kind == "CompileError");
    CHECK_THAT(outcomes[0].error, Contains("broken.cu(1): ") && Contains("no such luck"));
}

// --- nothing is read from the disk

TEST_CASE("a header planted in the current directory does not replace one of the closure",
          "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    const test::TemporaryDirectory folder;
    fs::create_directories(folder.path() / "op");
    test::write_file(folder.path() / "op/part.cuh", "#error planted\n");
    test::write_file(folder.path() / "part.cuh", "#error planted\n");
    const StandingIn standing(folder.path());
    Compile compile{
        "#include \"op/part.cuh\"\n#include \"part.cuh\"\nstatic_assert(kOurs == 3, \"\");\n" +
        std::string(kKernel)};
    compile.headers = {{"op/part.cuh", "constexpr int kOne = 1;\n", ""},
                       {"part.cuh", "constexpr int kOurs = kOne + 2;\n", ""}};
    CHECK(compile.failure().empty());
}

TEST_CASE("a header planted in the current directory is not read for one that the closure lacks",
          "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    const test::TemporaryDirectory folder;
    fs::create_directories(folder.path() / "op");
    for (const char* place : {"planted.cuh", "op/planted.cuh"}) {
        test::write_file(folder.path() / place, "constexpr int kPlanted = 1;\n");
    }
    const StandingIn standing(folder.path());
    for (const char* include :
         {"\"planted.cuh\"", "<planted.cuh>", "\"op/planted.cuh\"", "\"./planted.cuh\""}) {
        CAPTURE(include);
        CHECK_THAT((Compile{"#include " + std::string(include) + "\n" + kKernel}.failure()),
                   Contains("could not open source file"));
    }
}

// --- toolchains

TEST_CASE("the quick toolchain is the one that compiles", "[nvrtc]") {
    const auto candidate = find_nvrtc();
    if (!candidate) {
        return;
    }
    const auto compiler = nvrtc_compiler();
    const cache::Toolchain required = compiler->require(parse_target("sm_90"), 0);
    CHECK(required.major == candidate->major);
    CHECK(required.minor == candidate->minor);
    CHECK(required.fingerprint == candidate->fingerprint);
    if (const auto quick = compiler->toolchain()) {
        CHECK(*quick == required);
    }
}

TEST_CASE("a target that the NVRTC does not know is refused with those that it knows", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    CHECK_THROWS_WITH(nvrtc_compiler()->require(parse_target("sm_999"), 0),
                      Contains("does not know sm_999; it knows ") && Contains("90"));
    const QuantizerBuilder builder(in_memory());
    CHECK(builder.build_program(parse_target("sm_70"), "ds_quantize_fp16_groups").error_kind ==
          "ToolchainNotFound");
}

TEST_CASE("an NVRTC without its builtins is refused by name", "[nvrtc]") {
    const auto candidate = find_nvrtc();
    if (!candidate) {
        return;
    }
    const test::TemporaryDirectory folder;
    const fs::path copy = folder.path() / candidate->library.filename();
    copy_library(candidate->library, copy);
    DiscoveryEnvironment environment;
    environment.variable = [&](const char* name) {
        return std::string_view(name) == "OPFORGE_NVRTC_LIBRARY" ? std::optional(copy.string())
                                                                 : std::nullopt;
    };
    CHECK_THROWS_WITH(nvrtc_compiler(environment)->require(parse_target("sm_90"), 0),
                      Contains("(OPFORGE_NVRTC_LIBRARY): has no libnvrtc-builtins.so."));
}

TEST_CASE("an NVRTC whose builtins are of another version is refused before it compiles",
          "[nvrtc]") {
    const auto candidate = find_nvrtc();
    if (!candidate) {
        return;
    }
    // In a process of its own: the mismatched pair stays loaded for good.
    const auto child = test::run_in_child([&](std::ostream& out) {
        const test::TemporaryDirectory folder;
        copy_library(candidate->library, folder.path() / "renamed.so");
        fs::create_symlink(fs::canonical(candidate->builtins),
                           folder.path() / "libnvrtc-builtins.so.12.3");
        DiscoveryEnvironment environment;
        environment.variable = [&](const char* name) {
            return std::string_view(name) == "OPFORGE_NVRTC_LIBRARY"
                       ? std::optional((folder.path() / "renamed.so").string())
                       : std::nullopt;
        };
        try {
            static_cast<void>(nvrtc_compiler(environment)->require(parse_target("sm_90"), 0));
            out << "accepted";
        } catch (const ToolchainNotFound& error) {
            out << error.what();
        }
    });
    CHECK_THAT(child.output, Contains("says it is version") &&
                                 Contains("but the builtins beside it are of 12.3"));
}

TEST_CASE("another copy of the builtins in the process is noticed", "[nvrtc]") {
    const auto candidate = find_nvrtc();
    if (!candidate) {
        return;
    }
    const auto child = test::run_in_child([&](std::ostream& out) {
        const test::TemporaryDirectory folder;
        // The process has opened the installed one; now comes another build of the same version.
        static_cast<void>(nvrtc_compiler()->require(parse_target("sm_90"), 0));
        fs::create_symlink(fs::canonical(candidate->library),
                           folder.path() / candidate->library.filename());
        fs::copy_file(fs::canonical(candidate->builtins),
                      folder.path() / candidate->builtins.filename());
        DiscoveryEnvironment environment;
        environment.variable = [&](const char* name) {
            return std::string_view(name) == "OPFORGE_NVRTC_LIBRARY"
                       ? std::optional((folder.path() / candidate->library.filename()).string())
                       : std::nullopt;
        };
        try {
            static_cast<void>(nvrtc_compiler(environment)->require(parse_target("sm_90"), 0));
            out << "accepted";
        } catch (const ToolchainNotFound& error) {
            out << error.what();
        }
    });
    CHECK_THAT(child.output, Contains("already uses another copy of its builtins"));
}

TEST_CASE("a missing OPFORGE_NVRTC_LIBRARY is named where a compile is needed", "[nvrtc]") {
    const test::TemporaryDirectory folder;
    const auto probe =
        test::run_program({BUILD_PROBE, folder.path() / "cache", "sm_90", "ds_quantize_fp32_block"},
                          {"OPFORGE_NVRTC_LIBRARY=/nowhere/libnvrtc.so.13"});
    CHECK(probe.exit_code == 1);
    CHECK_THAT(probe.output,
               Contains("/nowhere/libnvrtc.so.13 (OPFORGE_NVRTC_LIBRARY): there is no such file"));
    CHECK_FALSE(maps(probe.output, "/libnvrtc.so"));
}

TEST_CASE("a warm process maps no NVRTC, and none at all is needed then", "[nvrtc]") {
    if (!find_nvrtc()) {
        return;
    }
    const test::TemporaryDirectory folder;
    const std::vector<std::string> command = {BUILD_PROBE, folder.path() / "cache", "sm_90",
                                              "ds_quantize_fp32_block"};
    const auto cold = test::run_program(command);
    CHECK_THAT(cold.output, Catch::Matchers::StartsWith("compiled\n"));
    CHECK(maps(cold.output, "libnvrtc"));

    const auto warm = test::run_program(command);
    CHECK_THAT(warm.output, Catch::Matchers::StartsWith("hit\n"));
    for (const char* library : {"libnvrtc", "libcurl", "libcrypto", "libcuda.so"}) {
        CAPTURE(library);
        CHECK_FALSE(maps(warm.output, library));
    }

    const auto without =
        test::run_program(command, {"OPFORGE_NVRTC_LIBRARY=/nowhere/libnvrtc.so.13"});
    CHECK_THAT(without.output, Catch::Matchers::StartsWith("hit\n"));
}

TEST_CASE("children forked while NVRTC compiles in another thread compile as well", "[nvrtc]") {
#ifdef __SANITIZE_ADDRESS__
    // GCC 12's takes none of its allocator's locks before a fork: a child may find one held.
    std::cout << "SKIPPED: AddressSanitizer's own allocator does not outlast a fork\n";
    return;
#endif
    if (!find_nvrtc()) {
        return;
    }
    static_cast<void>(Compile{kKernel}.run());  // NVRTC is open
    std::atomic<bool> stop{false};
    std::thread compiling([&] {
        while (!stop) {
            static_cast<void>(Compile{kKernel}.run());
        }
    });
    for (int round = 0; round < 10; ++round) {
        const test::ChildResult child = test::run_in_child([](std::ostream& out) {
            ::alarm(60);  // a deadlock ends with a signal
            out << (Compile{kKernel}.run().artifact.empty() ? "nothing" : "compiled");
        });
        CHECK(child.output == "compiled");
    }
    stop = true;
    compiling.join();
}

TEST_CASE("a minimal compile gives the same cubin and knows no textures", "[nvrtc]") {
    const auto nvrtc = find_nvrtc();
    if (!nvrtc) {
        return;
    }
    Compile compile{.source = kKernel};
    const CompiledProgram usual = compile.run();
    compile.options.minimal = true;
    CHECK(compile.run().artifact == usual.artifact);

    const std::string texture = "__device__ cudaTextureObject_t texture;\n";
    compile.source = texture + kKernel;
    if (nvrtc->major * 100 + nvrtc->minor >= 1204) {
        CHECK_THAT(compile.failure(), Contains("cudaTextureObject_t"));
    } else {
        CHECK(compile.failure().empty());  // an option that it does not know would be an error
    }
    compile.options.minimal = false;
    CHECK(compile.failure().empty());
}
