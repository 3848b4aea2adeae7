#include "compile_times.hpp"

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using builder::CompileTimes;
using builder::PrewarmJob;
using std::chrono::milliseconds;

PrewarmJob job(const std::string& program, const std::string& target = "sm_90") {
    return {"op", program, builder::parse_target(target)};
}

TEST_CASE("a recorded time of the same target goes before one of another, then what the op says",
          "[builder]") {
    CompileTimes times;
    times.expect("op", "a", 70);
    CHECK(times.estimate(job("a")) == milliseconds(70));
    times.record(job("a", "sm_80"), milliseconds(50));
    times.record(job("a", "sm_75"), milliseconds(60));
    CHECK(times.estimate(job("a")) == milliseconds(60));
    times.record(job("a"), milliseconds(40));
    CHECK(times.estimate(job("a")) == milliseconds(40));
    CHECK(times.estimate(job("unknown")) > milliseconds(0));
}

TEST_CASE("jobs are sorted longest first, equal ones in their order", "[builder]") {
    CompileTimes times;
    times.expect("op", "short", 10);
    times.expect("op", "long", 500);
    std::vector<PrewarmJob> jobs = {job("x"), job("short"), job("y"), job("long")};
    times.sort(jobs);
    CHECK(jobs == std::vector<PrewarmJob>{job("long"), job("x"), job("y"), job("short")});
}

TEST_CASE("what a run takes corrects its estimates", "[builder]") {
    CompileTimes times;
    CHECK(times.correction() == 1.0);
    times.observe(milliseconds(100), milliseconds(150));
    times.observe(milliseconds(100), milliseconds(250));
    CHECK(times.correction() == Approx(2.0));
}

}  // namespace
}  // namespace opforge::test
