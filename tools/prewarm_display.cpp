#include "prewarm_display.hpp"

#include "progress.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace opforge::tools {
namespace {

using builder::PrewarmEvent;
using builder::PrewarmProgress;
using std::chrono::seconds;

constexpr std::size_t kBarWidth = 20;

std::string format_time(std::chrono::microseconds time) {
    const auto whole = std::chrono::ceil<seconds>(time).count();
    return whole < 60 ? fmt::format("{} s", whole)
                      : fmt::format("{}:{:02} min", whole / 60, whole % 60);
}

// Names of programs are ASCII where they are C++ names; what is not is cut to a prefix that is.
std::string ascii(std::string_view text) {
    std::string shown = printable(text);
    for (char& each : shown) {
        if (static_cast<unsigned char>(each) >= 0x80 || each == '\n' || each == '\t') {
            each = '?';
        }
    }
    return shown;
}

std::string hits_text(const PrewarmProgress& progress) {
    return fmt::format("{} hit{}", progress.hits, progress.hits == 1 ? "" : "s");
}

std::string running_text(const PrewarmProgress& progress) {
    if (progress.running.empty()) {
        return {};
    }
    const builder::PrewarmJob& longest = progress.running.front().job;
    std::string text = fmt::format("{} {}", ascii(longest.program), longest.target.name());
    if (progress.running.size() > 1) {
        text += fmt::format(" +{}", progress.running.size() - 1);
    }
    return text;
}

std::size_t tenths_done(const PrewarmProgress& progress) {
    return progress.total == 0 ? 10 : progress.done() * 10 / progress.total;
}

std::size_t terminal_columns() {
    winsize size{};
    constexpr std::size_t kUsual = 80;
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

bool can_draw() {
    return ::isatty(STDERR_FILENO) == 1 && environment("TERM").value_or("dumb") != "dumb" &&
           !environment("CI");
}

const char* result_of(const builder::BuildOutcome& outcome) {
    return !outcome.error.empty() ? "failed" : outcome.compiled ? "compiled" : "hit";
}

double in_seconds(std::chrono::microseconds time) {
    return std::chrono::duration<double>(time).count();
}

void write_event(std::ostream& out, const Json& json) {
    out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n' << std::flush;
}

}  // namespace

PrewarmDisplay::~PrewarmDisplay() = default;

std::string bar_line(const PrewarmProgress& progress, std::size_t columns) {
    std::vector<std::string> parts = {render_bar(progress.done(), progress.total, kBarWidth),
                                      fmt::format(" {}/{}", progress.done(), progress.total)};
    if (progress.hits > 0) {
        parts.push_back("  " + hits_text(progress));
    }
    if (progress.failed > 0) {
        parts.push_back(fmt::format("  {} failed", progress.failed));
    }
    const std::string left =
        progress.remaining ? fmt::format("  {} left", format_time(*progress.remaining)) : "";
    std::string line;
    for (const std::string& part : parts) {
        line += line.size() + part.size() <= columns ? part : "";
    }
    const std::string running = running_text(progress);
    if (!running.empty() && line.size() + 2 + running.size() + left.size() <= columns) {
        line += "  " + running;
    }
    if (line.size() + left.size() <= columns) {
        line += left;
    }
    return line;
}

std::string log_line(const PrewarmProgress& progress) {
    const double share = progress.total == 0 ? 100.0
                                             : 100.0 * static_cast<double>(progress.done()) /
                                                   static_cast<double>(progress.total);
    std::string line = fmt::format("prewarm: {:.0f}% ({} of {}), {}", share, progress.done(),
                                   progress.total, hits_text(progress));
    if (progress.failed > 0) {
        line += fmt::format(", {} failed", progress.failed);
    }
    if (!progress.running.empty()) {
        line += fmt::format(", {} running", progress.running.size());
    }
    if (progress.remaining && progress.done() < progress.total) {
        line += fmt::format(", {} left", format_time(*progress.remaining));
    }
    return line;
}

Json event_json(const PrewarmEvent& event, const PrewarmProgress& progress) {
    Json json;
    if (event.kind == PrewarmEvent::Kind::tick) {
        json["event"] = "progress";
    } else {
        json["event"] = event.kind == PrewarmEvent::Kind::started ? "started" : "done";
        json["op"] = event.job->op;
        json["program"] = event.job->program;
        json["target"] = event.job->target.name();
    }
    if (event.outcome != nullptr) {
        const builder::BuildOutcome& outcome = *event.outcome;
        json["result"] = result_of(outcome);
        json["seconds"] = in_seconds(outcome.time);
        json["bytes"] = outcome.size_bytes;
        json["path"] = outcome.directory.string();
        if (!outcome.error.empty()) {
            json["error"] = {{"kind", outcome.error_kind}, {"message", outcome.error}};
        }
    }
    json["done"] = progress.done();
    json["total"] = progress.total;
    if (event.kind == PrewarmEvent::Kind::tick) {
        json["hits"] = progress.hits;
        json["compiled"] = progress.compiled;
        json["failed"] = progress.failed;
        json["running"] = Json::array();
        for (const auto& running : progress.running) {
            json["running"].push_back({{"op", running.job.op},
                                       {"program", running.job.program},
                                       {"target", running.job.target.name()},
                                       {"seconds", in_seconds(running.since)}});
        }
        json["elapsed_seconds"] = in_seconds(progress.elapsed);
        json["remaining_seconds"] =
            progress.remaining ? Json(in_seconds(*progress.remaining)) : Json(nullptr);
    }
    return json;
}

BarDisplay::BarDisplay(std::ostream& out, std::function<std::size_t()> columns,
                       std::chrono::milliseconds silence)
    : out_(out), columns_(std::move(columns)), silence_(silence) {
    set_log_sink([this](LogLevel level, std::string_view text) {
        constexpr std::array<const char*, 6> kNames = {"trace",   "debug", "info",
                                                       "warning", "error", "off"};
        const std::string line = shown_;
        wipe();
        out_ << fmt::format("opforge: {}: {}\n", kNames.at(static_cast<std::size_t>(level)),
                            printable(text));
        if (!line.empty()) {
            draw(line);
        }
        out_ << std::flush;
    });
}

BarDisplay::~BarDisplay() {
    set_log_sink({});
    wipe();
    out_ << std::flush;
}

void BarDisplay::update(const PrewarmEvent& event, const PrewarmProgress& progress) {
    // At ticks only: sixteen workers would have it drawn hundreds of times a second.
    if (event.kind != PrewarmEvent::Kind::tick || progress.elapsed < silence_) {
        return;
    }
    wipe();
    // Not into the last column: some terminals wrap there.
    draw(bar_line(progress, std::max<std::size_t>(columns_(), 2) - 1));
    out_ << std::flush;
}

void BarDisplay::draw(const std::string& line) {
    out_ << line;
    shown_ = line;
}

void BarDisplay::wipe() {
    if (shown_.empty()) {
        return;
    }
    // A terminal made narrower has wrapped what it shows: the line may stand on several rows now.
    const std::size_t rows = (shown_.size() - 1) / std::max<std::size_t>(columns_(), 1);
    out_ << '\r';
    if (rows > 0) {
        out_ << fmt::format("\x1b[{}A", rows);
    }
    out_ << "\x1b[J";
    shown_.clear();
}

LogDisplay::LogDisplay(std::ostream& out, std::chrono::milliseconds silence)
    : out_(out), silence_(silence) {}

void LogDisplay::update(const PrewarmEvent& event, const PrewarmProgress& progress) {
    if (event.kind == PrewarmEvent::Kind::started || progress.elapsed < silence_) {
        tenths_ = progress.elapsed < silence_ ? tenths_done(progress) : tenths_;
        return;
    }
    if (tenths_done(progress) > tenths_ || progress.elapsed - last_ >= seconds(10)) {
        tenths_ = tenths_done(progress);
        last_ = progress.elapsed;
        out_ << log_line(progress) << '\n' << std::flush;
    }
}

EventDisplay::EventDisplay(std::ostream& out) : out_(out) {}

void EventDisplay::update(const PrewarmEvent& event, const PrewarmProgress& progress) {
    if (event.kind == PrewarmEvent::Kind::tick) {
        if (progress.elapsed - last_ < seconds(1)) {
            return;
        }
        last_ = progress.elapsed;
    }
    write_event(out_, event_json(event, progress));
}

std::unique_ptr<PrewarmDisplay> make_display(std::string_view mode) {
    if (mode == "none") {
        return nullptr;
    }
    if (mode == "json") {
        return std::make_unique<EventDisplay>(std::cerr);
    }
    if (mode == "plain" || (mode == "auto" && !can_draw())) {
        return std::make_unique<LogDisplay>(std::cerr);
    }
    if (mode == "auto") {
        return std::make_unique<BarDisplay>(std::cerr, terminal_columns);
    }
    throw InvalidArgument(fmt::format("--progress \"{}\": use auto, plain, none or json", mode));
}

}  // namespace opforge::tools
