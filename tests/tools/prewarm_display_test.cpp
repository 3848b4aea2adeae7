#include <prewarm_display.hpp>

#include <opforge/base/log_sink.hpp>

#include <catch2/catch.hpp>

#include <sstream>

namespace opforge::test {
namespace {

using builder::PrewarmEvent;
using builder::PrewarmProgress;
using Catch::Matchers::Contains;
using std::chrono::milliseconds;
using std::chrono::seconds;

builder::PrewarmJob job(const std::string& program) {
    return {"quantizer", program, builder::parse_target("sm_90")};
}

PrewarmProgress half() {
    PrewarmProgress progress;
    progress.total = 20;
    progress.hits = 3;
    progress.compiled = 6;
    progress.failed = 1;
    progress.running = {{job("dequantize_fp32"), seconds(2)}, {job("quantize_fp16"), seconds(1)}};
    progress.elapsed = seconds(5);
    progress.remaining = seconds(75);
    return progress;
}

TEST_CASE("the bar tells what is done, hit, failed, running and left", "[tools]") {
    CHECK(tools::bar_line(half(), 120) ==
          "[==========>         ]  50% 10/20  3 hits  1 failed  dequantize_fp32 sm_90 +1  "
          "1:15 min left");
}

TEST_CASE("a narrow terminal loses what runs first, and no line is ever wider", "[tools]") {
    CHECK(tools::bar_line(half(), 70) ==
          "[==========>         ]  50% 10/20  3 hits  1 failed  1:15 min left");
    for (std::size_t columns = 0; columns < 120; ++columns) {
        CHECK(tools::bar_line(half(), columns).size() <= columns);
    }
}

TEST_CASE("a program's name cannot command the terminal", "[tools]") {
    PrewarmProgress progress = half();
    progress.running = {{job("a\x1b[31m\nb"), seconds(1)}};
    const std::string line = tools::bar_line(progress, 120);
    CHECK(line.find('\x1b') == std::string::npos);
    CHECK(line.find('\n') == std::string::npos);
}

TEST_CASE("the bar is silent for a second, then drawn over itself, and wiped at the end",
          "[tools]") {
    std::ostringstream out;
    {
        tools::BarDisplay bar(out, [] { return std::size_t{100}; });
        PrewarmProgress progress = half();
        progress.elapsed = milliseconds(999);
        bar.update({}, progress);
        CHECK(out.str().empty());
        bar.update({}, half());
        CHECK_THAT(out.str(), Contains("10/20"));
        bar.update({}, half());
    }
    const std::string text = out.str();
    CHECK(text.find('\n') == std::string::npos);
    CHECK(text.substr(text.size() - 4) == "\r\x1b[J");
}

TEST_CASE("a bar that a narrower terminal has wrapped is wiped on all its rows", "[tools]") {
    std::ostringstream out;
    std::size_t columns = 100;
    tools::BarDisplay bar(out, [&columns] { return columns; });
    bar.update({}, half());
    const std::size_t width = out.str().size();
    columns = width / 2;
    out.str("");
    bar.update({}, half());
    CHECK_THAT(out.str(), Catch::Matchers::StartsWith("\r\x1b[1A\x1b[J") ||
                              Catch::Matchers::StartsWith("\r\x1b[2A\x1b[J"));
}

TEST_CASE("a message goes above the bar", "[tools]") {
    std::ostringstream out;
    tools::BarDisplay bar(out, [] { return std::size_t{100}; });
    bar.update({}, half());
    out.str("");
    log(LogLevel::warning, "look here");
    CHECK_THAT(out.str(), Catch::Matchers::StartsWith("\r\x1b[Jopforge: warning: look here\n["));
}

TEST_CASE("a log gets a line at each tenth, and after ten seconds without one", "[tools]") {
    std::ostringstream out;
    tools::LogDisplay display(out, milliseconds(0));
    PrewarmProgress progress;
    progress.total = 100;
    for (std::size_t done = 0; done < 100; ++done) {
        progress.compiled = done + 1;
        progress.elapsed = milliseconds(done + 1);
        const auto finished = job("a");
        const builder::BuildOutcome outcome;
        display.update({PrewarmEvent::Kind::done, &finished, &outcome}, progress);
    }
    const std::string text = out.str();
    CHECK(std::count(text.begin(), text.end(), '\n') == 10);
    CHECK_THAT(text, Contains("prewarm: 10% (10 of 100), 0 hits\n") && Contains("100% (100 of"));
    progress.elapsed = seconds(11);
    display.update({}, progress);
    const std::string later = out.str();
    CHECK(std::count(later.begin(), later.end(), '\n') == 11);
}

TEST_CASE("an event names its program, what came of it and how far all is", "[tools]") {
    const auto finished = job("dequantize_fp32");
    builder::BuildOutcome outcome;
    outcome.error = "no";
    outcome.error_kind = "CompileError";
    outcome.time = milliseconds(1500);
    const auto json = tools::event_json({PrewarmEvent::Kind::done, &finished, &outcome}, half());
    CHECK(json.at("event") == "done");
    CHECK(json.at("op") == "quantizer");
    CHECK(json.at("program") == "dequantize_fp32");
    CHECK(json.at("target") == "sm_90");
    CHECK(json.at("result") == "failed");
    CHECK(json.at("seconds") == 1.5);
    CHECK(json.at("error").at("kind") == "CompileError");
    CHECK(json.at("done") == 10);
    const auto tick = tools::event_json({}, half());
    CHECK(tick.at("event") == "progress");
    CHECK(tick.at("running").at(1).at("program") == "quantize_fp16");
    CHECK(tick.at("remaining_seconds") == 75.0);
}

}  // namespace
}  // namespace opforge::test
