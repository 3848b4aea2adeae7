#include "prewarm_protocol.hpp"

#include <opforge/base/error.hpp>

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using namespace builder;

TEST_CASE("what a prewarm and its workers write is what they read", "[builder]") {
    const WorkerSetup setup{
        "/a \"folder\"", {1ULL << 40U, 7}, cache::Policy::compatible, LogLevel::info, "/kept"};
    const WorkerSetup read = parse_setup(to_line(setup));
    CHECK(read.cache_root == setup.cache_root);
    CHECK(read.limits.max_bytes == 1ULL << 40U);
    CHECK(read.limits.max_entries == 7);
    CHECK(read.policy == setup.policy);
    CHECK(read.log_level == setup.log_level);
    CHECK(read.keep_directory == setup.keep_directory);
    CHECK_FALSE(parse_setup(to_line(WorkerSetup{})).policy.has_value());
    CHECK_FALSE(parse_setup(to_line(WorkerSetup{})).keep_directory.has_value());

    const PrewarmJob job{"op", "program", parse_target("sm_100f")};
    CHECK(parse_job(to_line(job)) == job);

    BuildOutcome outcome;
    outcome.program = "program";
    outcome.target = parse_target("compute_90");
    outcome.compiled = true;
    outcome.directory = "/cache/entry";
    outcome.size_bytes = 123;
    outcome.time = std::chrono::microseconds(456);
    outcome.error = "two\nlines";
    outcome.error_kind = "CompileError";
    const auto answer = std::get<BuildOutcome>(parse_answer(to_line(outcome)));
    CHECK(answer.program == outcome.program);
    CHECK(answer.target == outcome.target);
    CHECK(answer.compiled);
    CHECK(answer.directory == outcome.directory);
    CHECK(answer.size_bytes == 123);
    CHECK(answer.time == outcome.time);
    CHECK(answer.error == outcome.error);
    CHECK(answer.error_kind == outcome.error_kind);

    const auto message =
        std::get<WorkerMessage>(parse_answer(to_line(WorkerMessage{LogLevel::error, "text"})));
    CHECK(message.level == LogLevel::error);
    CHECK(message.text == "text");
}

TEST_CASE("every message is one line, and bytes that are not UTF-8 do not break it", "[builder]") {
    BuildOutcome outcome;
    outcome.target = parse_target("sm_90");
    outcome.error = "a\nb\xff";
    const std::string line = to_line(outcome);
    CHECK(line.find('\n') == line.size() - 1);
    CHECK(std::get<BuildOutcome>(parse_answer(line)).error == "a\nb\xef\xbf\xbd");
}

TEST_CASE("lines of anybody else are refused", "[builder]") {
    for (const char* line : {"", "{}", "[1]", "nonsense", "{\"op\":1}"}) {
        CHECK_THROWS_AS(parse_job(line), InvalidArgument);
        CHECK_THROWS_AS(parse_setup(line), InvalidArgument);
        CHECK_THROWS_AS(parse_answer(line), InvalidArgument);
    }
}

}  // namespace
}  // namespace opforge::test
