#include "support/child_process.hpp"
#include "support/fake_compiler.hpp"
#include "support/fake_driver.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/base/log_sink.hpp>
#include <opforge/builder/errors.hpp>
#include <opforge/builder/op_builder.hpp>
#include <opforge/driver/errors.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::builder;
using Catch::Matchers::Contains;
using Catch::Matchers::Message;
namespace fs = std::filesystem;

namespace {

constexpr EmbeddedFile kHeaders[] = {
    {"common.cuh", "// common",
     "c1b96bb9fc3ca8ec1b1a3b0a5ae5b8ed57fcd1a1ed1cb6bde5e8bfbb4a2b7a11"}};
constexpr EmbeddedSource kSources[] = {
    {{"op/first.cu", "first text",
      "0f1b96bb9fc3ca8ec1b1a3b0a5ae5b8ed57fcd1a1ed1cb6bde5e8bfbb4a2b7a1"},
     kHeaders},
    {{"op/second.cu", "second text",
      "2f1b96bb9fc3ca8ec1b1a3b0a5ae5b8ed57fcd1a1ed1cb6bde5e8bfbb4a2b7a1"},
     {}},
    {{"op/bad.cu", "text", "not a digest"}, {}},
};
constexpr EmbeddedSources kEmbedded{kSources};

class TestOp final : public OpBuilder {
public:
    using OpBuilder::OpBuilder;
    [[nodiscard]] std::string name() const override { return "test_op"; }
    [[nodiscard]] std::vector<ProgramSpec> programs() const override { return specs; }
    [[nodiscard]] const EmbeddedSources& embedded() const override { return kEmbedded; }

    std::vector<ProgramSpec> specs = {
        {"alpha", "op/first.cu", {{"WHICH", "0"}}, {"alpha_kernel", "alpha_other"}, Wants::none},
        {"beta", "op/first.cu", {{"WHICH", "1"}}, {"beta_kernel"}, Wants::none},
        {"gamma", "op/second.cu", {}, {"gamma_kernel"}, Wants::architecture},
    };
};

// A machine with a cache, a compiler and a GPU of its own. `op()` is what a new process would make.
struct Machine {
    test::TemporaryDirectory folder;
    std::shared_ptr<test::FakeCompiler> compiler = std::make_shared<test::FakeCompiler>();
    test::FakeDriver driver;
    std::optional<cache::Policy> policy = cache::Policy::exact;
    bool memory_only = false;

    explicit Machine(std::vector<test::FakeDevice> devices = {test::FakeDevice{}})
        : driver(std::move(devices)) {
        driver.set_version(13000);
    }

    [[nodiscard]] BuilderContext context() const {
        BuilderContext context;
        context.cache = std::make_shared<cache::Cache>(cache::CacheOptions{
            memory_only ? std::nullopt : std::optional(folder.path() / "cache"), memory_only});
        context.compiler = compiler;
        context.driver = &driver;
        context.policy = policy;
        return context;
    }
    [[nodiscard]] std::unique_ptr<TestOp> op() const { return std::make_unique<TestOp>(context()); }
};

// Messages from `level` on, until the end of the scope.
class Messages {
public:
    explicit Messages(LogLevel level) : before_(log_level()) {
        set_log_level(level);
        set_log_sink([this](LogLevel, std::string_view text) {
            const std::lock_guard lock(mutex_);
            texts_.emplace_back(text);
        });
    }
    Messages(const Messages&) = delete;
    Messages& operator=(const Messages&) = delete;
    ~Messages() {
        set_log_sink({});
        set_log_level(before_);
    }
    [[nodiscard]] std::vector<std::string> with(const std::string& part) const {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> found;
        std::copy_if(texts_.begin(), texts_.end(), std::back_inserter(found),
                     [&](const std::string& text) { return text.find(part) != std::string::npos; });
        return found;
    }

private:
    LogLevel before_;
    mutable std::mutex mutex_;
    std::vector<std::string> texts_;
};

constexpr int kInvalidImage = 200;
constexpr int kNoBinaryForGpu = 209;

}  // namespace

// --- loading

TEST_CASE("a first load compiles, publishes and gives the kernels", "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();

    const auto program = op->load_program(0, "alpha");

    CHECK(program->name() == "alpha");
    CHECK(program->target().name() == "sm_90");
    CHECK(program->origin() == cache::Origin::compiled);
    CHECK(program->kernel("alpha_kernel") != nullptr);
    CHECK(program->kernel("alpha_other") != program->kernel("alpha_kernel"));
    CHECK(program->load_time().count() >= 0);
    CHECK(machine.compiler->compiles() == 1);
    CHECK(op->context().cache->counters().published == 1);
}

TEST_CASE("the next process takes the entry from the disk and asks no compiler", "[op_builder]") {
    const Machine machine;
    const auto first = machine.op()->load_program(0, "alpha");
    const std::size_t required = machine.compiler->requirements();

    const auto second = machine.op()->load_program(0, "alpha");

    CHECK(second->origin() == cache::Origin::user_directory);
    CHECK(second->manifest() == first->manifest());
    CHECK(machine.compiler->compiles() == 1);
    CHECK(machine.compiler->requirements() == required);
}

TEST_CASE("a second load in one process is the same program", "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();
    const auto first = op->load_program(0, "alpha");
    CHECK(op->load_program(0, "alpha") == first);
    CHECK(machine.driver.count("library_load") == 1);
}

TEST_CASE("an op has all its programs' kernels", "[op_builder]") {
    const Machine machine;
    const auto op = machine.op()->load(0);
    CHECK(op->name() == "test_op");
    REQUIRE(op->programs().size() == 3);
    CHECK(op->kernel("alpha_other") == op->programs()[0]->kernel("alpha_other"));
    CHECK(op->kernel("gamma_kernel") == op->programs()[2]->kernel("gamma_kernel"));
    CHECK_THROWS_AS(op->kernel("delta_kernel"), InvalidArgument);
    CHECK_THROWS_AS(op->programs()[0]->kernel("gamma_kernel"), InvalidArgument);
}

TEST_CASE("like GPUs share one load, unlike ones get their own", "[op_builder]") {
    const Machine machine({{"A", 9, 0}, {"B", 9, 0}, {"C", 8, 0}});
    const auto op = machine.op();
    CHECK(op->load_program(0, "alpha") == op->load_program(1, "alpha"));
    CHECK(op->load_program(2, "alpha")->target().name() == "sm_80");
    CHECK(machine.compiler->compiles() == 2);
}

TEST_CASE("a program that wants its architecture's features is compiled for them", "[op_builder]") {
    const Machine machine;
    CHECK(machine.op()->load_program(0, "gamma")->target().name() == "sm_90a");
}

TEST_CASE("a job carries the source, its headers, the options and the toolchain", "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();
    static_cast<void>(op->load_program(0, "alpha"));
    const CompileJob job = machine.compiler->jobs().at(0);
    CHECK(job.program == "alpha");
    CHECK(job.source_name == "op/first.cu");
    CHECK(job.source == "first text");
    REQUIRE(job.headers.size() == 1);
    CHECK(job.headers[0].name == "common.cuh");
    CHECK(job.kernels == op->specs[0].kernels);
    CHECK(job.toolchain == *machine.compiler->toolchain());
    CHECK(std::count(job.arguments.begin(), job.arguments.end(), "-DWHICH=0") == 1);
    CHECK(std::count(job.arguments.begin(), job.arguments.end(), "--gpu-architecture=sm_90") == 1);
    CHECK(std::count(job.arguments.begin(), job.arguments.end(), "--no-source-include") == 1);
}

TEST_CASE("the manifest tells what was made, by whom and for which driver", "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();
    const cache::Manifest manifest = op->load_program(0, "alpha")->manifest();
    CHECK(manifest.request == op->request(op->specs[0], parse_target("sm_90")));
    CHECK(manifest.toolchain == *machine.compiler->toolchain());
    CHECK(manifest.minimum_driver == 13000);
    CHECK(manifest.compile_log == "fake log");
    CHECK(manifest.producer == "opforge " OPFORGE_VERSION);
    CHECK(manifest.kernels.at(0).registers == 32);
}

TEST_CASE("a request names everything that changes the code", "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();
    const cache::Request request = op->request(op->specs[0], parse_target("compute_90"));
    CHECK(request.op == "test_op");
    CHECK(request.program == "alpha");
    CHECK(request.source.hex() == kSources[0].file.sha256);
    REQUIRE(request.headers.size() == 1);
    CHECK(request.headers[0].digest.hex() == kHeaders[0].sha256);
    CHECK(request.options == CompileOptions{}.normalised());
    CHECK(request.defines == op->specs[0].defines);
    CHECK(request.kernels == op->specs[0].kernels);
    CHECK(request.target == "compute_90");
    CHECK(request.artifact_kind == "ptx");
}

TEST_CASE("the sources are named once each, in the order of the programs", "[op_builder]") {
    const Machine machine;
    CHECK(machine.op()->sources() == std::vector<std::string>{"op/first.cu", "op/second.cu"});
}

TEST_CASE("unknown programs, sources that are not embedded and false digests are bad arguments",
          "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();
    CHECK_THROWS_WITH(op->load_program(0, "omega"),
                      Contains("`omega`") && Contains("alpha, beta, gamma"));
    CHECK_THROWS_AS(op->build_program(parse_target("90"), "omega"), InvalidArgument);
    op->specs[0].source = "op/absent.cu";
    CHECK_THROWS_WITH(op->load_program(0, "alpha"), Contains("`op/absent.cu` is not embedded"));
    op->specs[0].source = "op/bad.cu";
    CHECK_THROWS_WITH(op->load_program(0, "alpha"), Contains("opforge_embed_kernels()"));
    CHECK(machine.compiler->compiles() == 0);
}

TEST_CASE("an info line says what was loaded, from where, and how long it took", "[op_builder]") {
    const Machine machine;
    {
        const Messages messages(LogLevel::info);
        static_cast<void>(machine.op()->load_program(0, "alpha"));
        CHECK(messages.with("test_op: loaded alpha for sm_90 from compiled").size() == 1);
    }
    const Messages messages(LogLevel::info);
    static_cast<void>(machine.op()->load_program(0, "alpha"));
    const auto lines = messages.with("test_op: loaded alpha for sm_90 from user_directory");
    REQUIRE(lines.size() == 1);
    CHECK_THAT(lines[0], Contains((machine.folder.path() / "cache").string()) &&
                             Contains("nvrtc 13.0") && Catch::Matchers::EndsWith(" ms"));
}

// --- failures

TEST_CASE("a failed compile reaches the caller with its log, and the next call tries again",
          "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();
    machine.compiler->fail("alpha", "op/first.cu(3): error: no such thing");
    try {
        static_cast<void>(op->load_program(0, "alpha"));
        FAIL("it compiled");
    } catch (const CompileError& error) {
        CHECK(error.program() == "alpha");
        CHECK(error.target() == "sm_90");
        CHECK(error.log() == "op/first.cu(3): error: no such thing");
        CHECK(std::count(error.options().begin(), error.options().end(), "-DWHICH=0") == 1);
        CHECK_THAT(error.what(),
                   Contains("op/first.cu(3)") && Contains("--fmad=false") && Contains("sm_90"));
        CHECK(error.kind() == "CompileError");
    }
    machine.compiler->fail("alpha", "");
    CHECK(op->load_program(0, "alpha")->origin() == cache::Origin::compiled);
}

TEST_CASE("an entry that the driver refuses is passed over, quarantined and compiled anew",
          "[op_builder]") {
    Machine machine;
    static_cast<void>(machine.op()->load_program(0, "alpha"));
    machine.driver.fail("library_load", kInvalidImage);
    const Messages messages(LogLevel::warning);
    const auto op = machine.op();

    const auto program = op->load_program(0, "alpha");

    CHECK(program->origin() == cache::Origin::compiled);
    CHECK(machine.compiler->compiles() == 2);
    CHECK(messages.with("passing over the cached entry").size() == 1);
    CHECK(fs::exists(machine.folder.path() / "cache/v1/quarantine"));
    // The new entry took its place: the next process is served from the disk.
    CHECK(machine.op()->load_program(0, "alpha")->origin() == cache::Origin::user_directory);
}

TEST_CASE("an entry refused for another reason stays for those who can use it", "[op_builder]") {
    Machine machine;
    static_cast<void>(machine.op()->load_program(0, "alpha"));
    machine.driver.fail("library_load", kNoBinaryForGpu);
    CHECK(machine.op()->load_program(0, "alpha")->origin() == cache::Origin::compiled);
    CHECK_FALSE(fs::exists(machine.folder.path() / "cache/v1/quarantine"));
    CHECK(machine.op()->load_program(0, "alpha")->origin() == cache::Origin::user_directory);
}

TEST_CASE("an entry that lacks a kernel is passed over like one that does not load",
          "[op_builder]") {
    Machine machine;
    static_cast<void>(machine.op()->load_program(0, "alpha"));
    machine.driver.fail("library_get_kernel", 500);
    CHECK(machine.op()->load_program(0, "alpha")->origin() == cache::Origin::compiled);
    CHECK(machine.driver.outstanding().libraries == 0);
}

TEST_CASE("what the driver refuses of a fresh compile is the caller's to know", "[op_builder]") {
    Machine machine;
    machine.driver.fail_always("library_load", kInvalidImage);
    const auto op = machine.op();
    CHECK_THROWS_AS(op->load_program(0, "alpha"), DriverError);
    CHECK(machine.compiler->compiles() == 1);
    CHECK(machine.driver.outstanding().libraries == 0);
}

TEST_CASE("a refused entry gives way to the next candidate before anything is compiled",
          "[op_builder]") {
    Machine machine({{"GPU", 8, 9}});
    static_cast<void>(machine.op()->build_program(parse_target("sm_80"), "alpha"));
    static_cast<void>(machine.op()->build_program(parse_target("sm_89"), "alpha"));
    machine.driver.fail("library_load", kNoBinaryForGpu);
    const auto program = machine.op()->load_program(0, "alpha");
    CHECK(program->target().name() == "sm_80");
    CHECK(machine.compiler->compiles() == 2);
}

TEST_CASE("an entry that needs a newer driver is not given to this one", "[op_builder]") {
    Machine machine;
    machine.policy = cache::Policy::compatible;
    static_cast<void>(machine.op()->build_program(parse_target("sm_90"), "alpha"));
    machine.driver.set_version(12080);
    machine.compiler->set_toolchain(cache::Toolchain{"nvrtc", 12, 8, "older+older"});

    const auto program = machine.op()->load_program(0, "alpha");

    CHECK(program->origin() == cache::Origin::compiled);
    CHECK(program->manifest().toolchain.major == 12);
    CHECK(program->manifest().minimum_driver == 12000);
}

TEST_CASE("no toolchain anywhere is an error that says so", "[op_builder]") {
    const Machine machine;
    machine.compiler->set_toolchain(std::nullopt);
    CHECK_THROWS_MATCHES(machine.op()->load_program(0, "alpha"), ToolchainNotFound,
                         Message("fake compiler: no toolchain anywhere"));
}

TEST_CASE("a device that is not there is NoDevice", "[op_builder]") {
    const Machine machine;
    CHECK_THROWS_AS(machine.op()->load_program(1, "alpha"), NoDevice);
    CHECK_THROWS_AS(machine.op()->load(-1), NoDevice);
    CHECK(machine.compiler->compiles() == 0);
}

TEST_CASE("devices and drivers that are too old are refused with what they lack", "[op_builder]") {
    Machine old_device({{"V100", 7, 0}});
    CHECK_THROWS_WITH(old_device.op()->load_program(0, "alpha"),
                      Contains("compute capability 7.0") && Contains("7.5 or newer"));
    Machine old_driver;
    old_driver.driver.set_version(11080);
    CHECK_THROWS_WITH(old_driver.op()->load_program(0, "alpha"),
                      Contains("CUDA 11.8") && Contains("12.0"));
    CHECK_THROWS_AS(old_driver.op()->jit_load(0), NoDevice);
}

// --- a GPU newer than the compiler

TEST_CASE("a GPU newer than the NVRTC gets PTX and one warning", "[op_builder]") {
    const Machine machine({{"New", 13, 0}});
    machine.compiler->set_supported({"sm_90", "compute_90", "sm_120", "compute_120"});
    const Messages messages(LogLevel::warning);
    const auto op = machine.op();

    CHECK(op->load_program(0, "alpha")->target().name() == "compute_120");
    CHECK(op->load_program(0, "beta")->target().name() == "compute_120");

    const auto warnings = messages.with("capability 13.0");
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Contains("NVRTC 13.0") && Contains("compute_120"));
    CHECK(machine.op()->load_program(0, "alpha")->origin() == cache::Origin::user_directory);
}

TEST_CASE("a lower minor of the same major is preferred to PTX", "[op_builder]") {
    const Machine machine({{"Ada", 8, 9}});
    machine.compiler->set_supported({"sm_80", "sm_86", "compute_86"});
    CHECK(machine.op()->load_program(0, "alpha")->target().name() == "sm_86");
}

// --- policies

TEST_CASE("policy exact wants what its own toolchain made", "[op_builder]") {
    const Machine machine;
    static_cast<void>(machine.op()->load_program(0, "alpha"));
    machine.compiler->set_toolchain(cache::Toolchain{"nvrtc", 13, 0, "another+build"});
    CHECK(machine.op()->load_program(0, "alpha")->origin() == cache::Origin::compiled);
}

TEST_CASE("policy exact finds what the toolchain that compiles for the target made",
          "[op_builder]") {
    // The quick places hold an NVRTC that does not serve; another one elsewhere does.
    const Machine machine;
    machine.compiler->set_quick_toolchain(cache::Toolchain{"nvrtc", 12, 0, "quick+quick"});
    static_cast<void>(machine.op()->load_program(0, "alpha"));
    CHECK(machine.op()->load_program(0, "alpha")->origin() == cache::Origin::user_directory);
    CHECK(machine.compiler->compiles() == 1);
}

TEST_CASE("policy compatible takes any toolchain's entry", "[op_builder]") {
    Machine machine;
    static_cast<void>(machine.op()->load_program(0, "alpha"));
    machine.compiler->set_toolchain(cache::Toolchain{"nvrtc", 13, 0, "another+build"});
    machine.policy = cache::Policy::compatible;
    const auto program = machine.op()->load_program(0, "alpha");
    CHECK(program->origin() == cache::Origin::user_directory);
    CHECK(program->manifest().toolchain.fingerprint == "fake+fake");
}

TEST_CASE("policy offline never compiles, and names the prewarm that would help", "[op_builder]") {
    Machine machine;
    machine.policy = cache::Policy::offline;
    const auto op = machine.op();
    CHECK_THROWS_AS(op->load_program(0, "alpha"), OfflineMiss);
    CHECK_THROWS_WITH(op->load_program(0, "gamma"),
                      Contains("opforge prewarm --arch sm_90a --ops test_op") && Contains("gamma"));
    CHECK_THROWS_AS(op->jit_load(0), OfflineMiss);
    const BuildOutcome outcome = op->build_program(parse_target("90"), "alpha");
    CHECK(outcome.error_kind == "OfflineMiss");
    CHECK_FALSE(outcome.compiled);
    CHECK(machine.compiler->compiles() == 0);
    CHECK(machine.compiler->requirements() == 0);
}

TEST_CASE("where there is no cache folder an offline miss names the command, too", "[op_builder]") {
    Machine machine;
    machine.policy = cache::Policy::offline;
    machine.memory_only = true;
    CHECK_THROWS_WITH(machine.op()->load_program(0, "alpha"),
                      Contains("opforge prewarm --arch sm_90 --ops test_op --policy compatible "
                               "--cache-dir DIR") &&
                          Contains("OPFORGE_CACHE_DIR"));
}

TEST_CASE("policy offline is served from the cache", "[op_builder]") {
    Machine machine;
    static_cast<void>(machine.op()->build(parse_target("9.0a")));
    machine.policy = cache::Policy::offline;
    machine.compiler->set_toolchain(std::nullopt);
    CHECK(machine.op()->load(0)->programs().size() == 3);
}

TEST_CASE("the default policy is exact where a toolchain is found at once, else compatible",
          "[op_builder]") {
    ::unsetenv("OPFORGE_POLICY");
    Machine machine;
    machine.policy.reset();
    CHECK(machine.op()->policy() == cache::Policy::exact);
    machine.compiler->set_quick_toolchain(std::nullopt);
    CHECK(machine.op()->policy() == cache::Policy::compatible);
}

TEST_CASE("OPFORGE_POLICY comes before the default, and an explicit policy before it",
          "[op_builder]") {
    ::setenv("OPFORGE_POLICY", "offline", 1);
    Machine machine;
    machine.policy.reset();
    CHECK(machine.op()->policy() == cache::Policy::offline);
    machine.policy = cache::Policy::compatible;
    CHECK(machine.op()->policy() == cache::Policy::compatible);
    ::setenv("OPFORGE_POLICY", "sometimes", 1);
    machine.policy.reset();
    CHECK_THROWS_WITH(machine.op()->policy(), Contains("sometimes"));
    ::unsetenv("OPFORGE_POLICY");
}

// --- build

TEST_CASE("build needs no driver and reports each program", "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();

    const auto outcomes = op->build(parse_target("9.0a"));

    REQUIRE(outcomes.size() == 3);
    CHECK(outcomes[0].target.name() == "sm_90");
    CHECK(outcomes[2].target.name() == "sm_90a");
    for (const BuildOutcome& outcome : outcomes) {
        CHECK(outcome.compiled);
        CHECK(outcome.error.empty());
        CHECK(fs::exists(outcome.directory / "manifest.json"));
        CHECK(outcome.size_bytes == fs::file_size(outcome.directory / "kernels.cubin"));
    }
    CHECK(machine.driver.count() == 0);
}

TEST_CASE("what build made is what load finds", "[op_builder]") {
    const Machine machine;
    static_cast<void>(machine.op()->build(parse_target("9.0a")));
    const auto op = machine.op()->load(0);
    for (const auto& program : op->programs()) {
        CHECK(program->origin() == cache::Origin::user_directory);
    }
    CHECK(machine.compiler->compiles() == 3);
}

TEST_CASE("a second build compiles nothing", "[op_builder]") {
    const Machine machine;
    static_cast<void>(machine.op()->build(parse_target("sm_90")));
    for (const BuildOutcome& outcome : machine.op()->build(parse_target("sm_90"))) {
        CHECK_FALSE(outcome.compiled);
        CHECK(outcome.error.empty());
        CHECK_FALSE(outcome.directory.empty());
        CHECK(outcome.size_bytes > 0);
    }
    CHECK(machine.compiler->compiles() == 3);
}

TEST_CASE("a second build without an NVRTC is served under policy compatible", "[op_builder]") {
    Machine machine;
    static_cast<void>(machine.op()->build(parse_target("sm_90")));
    machine.compiler->set_toolchain(std::nullopt);
    machine.policy.reset();
    for (const BuildOutcome& outcome : machine.op()->build(parse_target("sm_90"))) {
        CHECK(outcome.error.empty());
    }
}

TEST_CASE("one program's failure leaves the others built, with its kind", "[op_builder]") {
    const Machine machine;
    machine.compiler->fail("beta", "op/first.cu(1): error");
    machine.compiler->set_supported({"sm_90"});
    const auto op = machine.op();
    const auto outcomes = op->build(parse_target("sm_90"));
    CHECK(outcomes[0].error.empty());
    CHECK(outcomes[1].error_kind == "CompileError");
    CHECK_THAT(outcomes[1].error, Contains("op/first.cu(1): error"));
    CHECK_FALSE(outcomes[1].compiled);
    CHECK(op->build_program(parse_target("sm_80"), "alpha").error_kind == "ToolchainNotFound");
}

TEST_CASE("build works from memory where the cache cannot be written", "[op_builder]") {
    Machine machine;
    machine.memory_only = true;
    const auto op = machine.op();
    const BuildOutcome outcome = op->build_program(parse_target("sm_90"), "alpha");
    CHECK(outcome.error.empty());
    CHECK(outcome.compiled);
    CHECK(outcome.directory.empty());
    CHECK(op->load_program(0, "alpha")->origin() == cache::Origin::memory);
}

TEST_CASE("a PTX target is kept as PTX", "[op_builder]") {
    const Machine machine;
    const BuildOutcome outcome = machine.op()->build_program(parse_target("compute_80"), "alpha");
    CHECK(fs::exists(outcome.directory / "kernels.ptx"));
}

TEST_CASE("a log that is not UTF-8 is kept as far as a manifest can hold it", "[op_builder]") {
    class LoudCompiler final : public Compiler {
    public:
        std::optional<cache::Toolchain> toolchain() override { return inner.toolchain(); }
        cache::Toolchain require(const Target& target, int driver) override {
            return inner.require(target, driver);
        }
        CompiledProgram compile(const CompileJob& job) override {
            CompiledProgram compiled = inner.compile(job);
            compiled.log = "warning: \xff\xfe" + std::string(100000, 'w');
            return compiled;
        }
        test::FakeCompiler inner;
    };
    const Machine machine;
    BuilderContext context = machine.context();
    context.compiler = std::make_shared<LoudCompiler>();
    const TestOp op(context);
    const std::string log = op.load_program(0, "alpha")->manifest().compile_log;
    CHECK(log.size() == 65536);
    CHECK(log.starts_with("warning: ??w"));
}

// --- jit_load

TEST_CASE("jit_load compiles even where the cache could serve, and later loads take its programs",
          "[op_builder]") {
    const Machine machine;
    const auto op = machine.op();
    const auto before = op->load(0);
    machine.compiler->set_salt("changed ");

    const auto after = op->jit_load(0);

    CHECK(machine.compiler->compiles() == 6);
    REQUIRE(after->programs().size() == 3);
    CHECK(after->programs()[0]->manifest().artifact.sha256 !=
          before->programs()[0]->manifest().artifact.sha256);
    CHECK(op->load_program(0, "alpha") == after->programs()[0]);
    CHECK(machine.op()->load_program(0, "alpha")->manifest().artifact.sha256 ==
          after->programs()[0]->manifest().artifact.sha256);
}

// --- threads

TEST_CASE("threads that ask for one program get one compile and one load", "[op_builder]") {
    const Machine machine;
    machine.compiler->set_delay(std::chrono::milliseconds(50));
    const auto op = machine.op();
    std::vector<std::shared_ptr<const LoadedProgram>> got(8);
    std::vector<std::thread> threads;
    for (auto& one : got) {
        threads.emplace_back([&] { one = op->load_program(0, "alpha"); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(std::count(got.begin(), got.end(), got.front()) == 8);
    CHECK(got.front() != nullptr);
    CHECK(machine.compiler->compiles() == 1);
    CHECK(machine.driver.count("library_load") == 1);
}

TEST_CASE("a failure reaches every waiting thread and leaves the program free to be tried again",
          "[op_builder]") {
    const Machine machine;
    machine.compiler->set_delay(std::chrono::milliseconds(50));
    machine.compiler->fail("alpha", "broken");
    const auto op = machine.op();
    std::atomic<int> failures = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) {
        threads.emplace_back([&] {
            try {
                static_cast<void>(op->load_program(0, "alpha"));
            } catch (const CompileError&) {
                ++failures;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(failures == 6);
    machine.compiler->fail("alpha", "");
    CHECK(op->load_program(0, "alpha") != nullptr);
}

TEST_CASE("two builders of one cache compile one program once", "[op_builder]") {
    const Machine machine;
    machine.compiler->set_delay(std::chrono::milliseconds(50));
    const BuilderContext context = machine.context();
    const TestOp first(context);
    const TestOp second(context);
    std::thread other([&] { static_cast<void>(second.load_program(0, "alpha")); });
    static_cast<void>(first.load_program(0, "alpha"));
    other.join();
    CHECK(machine.compiler->compiles() == 1);
}

// --- is_compatible

TEST_CASE("an op is compatible where a compiler or the cache can serve, and says which",
          "[op_builder]") {
    const Machine machine;
    const Compatibility by_compiler = machine.op()->is_compatible(0);
    CHECK(by_compiler);
    CHECK_THAT(by_compiler.reason, Contains("NVRTC 13.0 compiles for sm_90"));

    static_cast<void>(machine.op()->build(parse_target("9.0a")));
    machine.compiler->set_toolchain(std::nullopt);
    machine.compiler->set_quick_toolchain(cache::Toolchain{"nvrtc", 13, 0, "fake+fake"});
    const Compatibility by_cache = machine.op()->is_compatible(0);
    CHECK(by_cache);
    CHECK_THAT(by_cache.reason, Contains("in the cache"));
}

TEST_CASE("asking for compatibility compiles nothing, loads nothing and makes no context",
          "[op_builder]") {
    const Machine machine;
    static_cast<void>(machine.op()->is_compatible(0));
    CHECK(machine.compiler->compiles() == 0);
    CHECK(machine.driver.count("library_load") == 0);
    CHECK(machine.driver.count("context_create") == 0);
    CHECK(machine.driver.count("primary_context_retain") == 0);
}

TEST_CASE("an op is not compatible without a device, a new enough one, a driver, or any way to its "
          "programs",
          "[op_builder]") {
    Machine machine({{"GPU", 9, 0}, {"V100", 7, 0}});
    const auto reason = [&](int device) {
        const Compatibility found = machine.op()->is_compatible(device);
        CHECK_FALSE(found);
        return found.reason;
    };
    CHECK_THAT(reason(2), Contains("0 to 1"));
    CHECK_THAT(reason(1), Contains("compute capability 7.0"));
    machine.compiler->set_toolchain(std::nullopt);
    CHECK_THAT(reason(0), Contains("no toolchain anywhere"));
    machine.policy = cache::Policy::offline;
    CHECK_THAT(reason(0),
               Contains("offline") && Contains("opforge prewarm --arch sm_90 --ops test_op"));
    machine.driver.set_version(11080);
    CHECK_THAT(reason(0), Contains("CUDA 11.8"));
    machine.driver.fail_always("device_count", 999);
    CHECK_THAT(reason(0), Contains("cuDeviceGetCount"));
}

TEST_CASE("a bad OPFORGE_POLICY makes an op incompatible instead of throwing", "[op_builder]") {
    ::setenv("OPFORGE_POLICY", "sometimes", 1);
    Machine machine;
    machine.policy.reset();
    const Compatibility found = machine.op()->is_compatible(0);
    ::unsetenv("OPFORGE_POLICY");
    CHECK_FALSE(found);
    CHECK_THAT(found.reason, Contains("sometimes"));
}
