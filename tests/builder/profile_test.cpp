#include "support/fake_compiler.hpp"
#include "support/fake_driver.hpp"
#include "support/leave.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/profile.hpp>
#include <opforge/builder/quantizer_builder.hpp>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace opforge::test {
namespace {

using namespace builder;
using Catch::Matchers::Contains;

PrewarmJob job(const std::string& program, const std::string& target = "sm_90") {
    return {"quantizer", program, parse_target(target)};
}

/// OPFORGE_PROFILE for a scope.
class Recording {
public:
    explicit Recording(const std::filesystem::path& file) {
        ::setenv("OPFORGE_PROFILE", file.c_str(), 1);
    }
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
    ~Recording() { ::unsetenv("OPFORGE_PROFILE"); }
};

BuilderContext context() {
    BuilderContext made;
    cache::CacheOptions options;
    options.memory_only = true;
    made.cache = std::make_shared<cache::Cache>(options);
    made.compiler = std::make_shared<FakeCompiler>();
    return made;
}

TEST_CASE("what is noted is read back, each once, in its order", "[builder]") {
    const TemporaryDirectory folder;
    const auto file = folder.path() / "profile.jsonl";
    {
        const Recording recording(file);
        for (const auto& one : {job("b"), job("a", "sm_100f"), job("b")}) {
            note_in_profile(one);
        }
    }
    note_in_profile(job("c"));  // nobody records
    CHECK(parse_profile(read_file(file)) == std::vector<PrewarmJob>{job("b"), job("a", "sm_100f")});
}

TEST_CASE("a line of a profile is what the document says", "[builder]") {
    const TemporaryDirectory folder;
    {
        const Recording recording(folder.path() / "profile");
        note_in_profile(job("ds_quantize_fp16_groups"));
    }
    CHECK(read_file(folder.path() / "profile") ==
          "{\"op\":\"quantizer\",\"program\":\"ds_quantize_fp16_groups\",\"schema\":1,"
          "\"target\":\"sm_90\"}\n");
}

TEST_CASE("threads and processes share a profile without mixing lines", "[builder]") {
    const TemporaryDirectory folder;
    const auto file = folder.path() / "profile.jsonl";
    constexpr int kWriters = 4;
    constexpr int kLines = 50;
    const Recording recording(file);
    const auto write_lines = [](const std::string& prefix) {
        for (int i = 0; i < kLines; ++i) {
            note_in_profile(job(prefix + std::to_string(i)));
        }
    };
    // Forked before there are threads, whose allocations a sanitizer's allocator would lock for
    // ever in a child; they begin when the gate is closed.
    std::array<int, 2> gate{};
    REQUIRE(::pipe(gate.data()) == 0);
    std::vector<pid_t> children;
    for (int writer = 0; writer < kWriters; ++writer) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::close(gate[1]);
            char byte = 0;
            static_cast<void>(::read(gate[0], &byte, 1));
            int code = 0;
            try {
                write_lines(fmt::format("p{}_", writer));
            } catch (...) {
                code = 1;
            }
            leave(code);
        }
        children.push_back(child);
    }
    std::vector<std::jthread> threads;
    for (int writer = 0; writer < kWriters; ++writer) {
        threads.emplace_back([&write_lines, writer] { write_lines(fmt::format("t{}_", writer)); });
    }
    ::close(gate[0]);
    ::close(gate[1]);
    threads.clear();
    for (const pid_t child : children) {
        int status = -1;
        CHECK(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    CHECK(parse_profile(read_file(file)).size() == 2 * kWriters * kLines);
}

TEST_CASE("unknown fields and empty lines are passed over, anything else names its line",
          "[builder]") {
    const std::string good =
        R"({"schema":1,"op":"a","program":"b","target":"sm_90","device":"H100"})";
    CHECK(parse_profile("\n" + good + "\r\n\n").size() == 1);
    CHECK(parse_profile("").empty());
    for (const std::string bad :
         {"nonsense", "{}", R"({"schema":2,"op":"a","program":"b","target":"sm_90"})",
          R"({"schema":1,"op":"a","program":"b","target":"sm_1x"})",
          R"({"schema":1,"op":"a","program":"b")"}) {
        INFO(bad);
        CHECK_THROWS_WITH(parse_profile(good + "\n" + bad), Contains("line 2"));
        CHECK_THROWS_AS(parse_profile(bad), InvalidArgument);
    }
}

TEST_CASE("a profile gives its programs for its targets, or for those named", "[builder]") {
    OpCatalog catalog;
    catalog.add<QuantizerBuilder>("quantizer");
    const std::vector<PrewarmJob> profile = {job("dequantize_fp16"), job("dequantize_fp32"),
                                             job("dequantize_fp16", "sm_80")};
    CHECK(profile_jobs(catalog, context(), profile, {}) == profile);
    const auto other =
        profile_jobs(catalog, context(), profile, {parse_target("sm_75"), parse_target("sm_100f")});
    CHECK(other.size() == 4);
    CHECK(other[1] == job("dequantize_fp16", "sm_100"));
    CHECK_THROWS_AS(profile_jobs(catalog, context(), {job("none")}, {}), InvalidArgument);
}

TEST_CASE("a build notes its program, whatever comes of it", "[builder]") {
    const TemporaryDirectory folder;
    const auto file = folder.path() / "profile.jsonl";
    const Recording recording(file);
    auto made = context();
    const auto compiler = std::make_shared<FakeCompiler>();
    compiler->fail("dequantize_fp32", "no");
    made.compiler = compiler;
    const QuantizerBuilder builder(made);
    static_cast<void>(builder.build_program(parse_target("sm_90a"), "dequantize_fp16"));
    static_cast<void>(builder.build_program(parse_target("sm_90"), "dequantize_fp32"));
    static_cast<void>(builder.find_program(parse_target("sm_90"), "dequantize_bf16"));
    CHECK(parse_profile(read_file(file)) ==
          std::vector<PrewarmJob>{job("dequantize_fp16"), job("dequantize_fp32")});
}

TEST_CASE("a host that loads notes what a prewarm for its device builds, hit or miss",
          "[builder]") {
    const TemporaryDirectory folder;
    const auto file = folder.path() / "profile.jsonl";
    FakeDriver driver({FakeDevice{"Fake GPU", 8, 6}});
    driver.set_version(13000);
    cache::CacheOptions options;
    options.directory = folder.path() / "cache";
    auto made = context();
    made.cache = std::make_shared<cache::Cache>(options);
    made.driver = &driver;
    static_cast<void>(QuantizerBuilder(made).load_program(0, "dequantize_fp16"));
    const Recording recording(file);
    const QuantizerBuilder builder(made);
    static_cast<void>(builder.load_program(0, "dequantize_fp16"));
    static_cast<void>(builder.load_program(0, "dequantize_fp32"));
    static_cast<void>(builder.load_program(0, "dequantize_fp32"));
    CHECK(
        parse_profile(read_file(file)) ==
        std::vector<PrewarmJob>{job("dequantize_fp16", "sm_86"), job("dequantize_fp32", "sm_86")});
}

TEST_CASE("a profile that cannot be written does not fail what is recorded", "[builder]") {
    const Recording recording("/nowhere/profile.jsonl");
    CHECK_NOTHROW(note_in_profile(job("a")));
}

}  // namespace
}  // namespace opforge::test
