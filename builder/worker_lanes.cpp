#include "worker_lanes.hpp"

#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <system_error>
#include <utility>
#include <variant>

namespace opforge::builder {
namespace {

// A worker that has been asked to end and does not is killed: the cache survives that.
constexpr std::chrono::milliseconds kPatience{1000};

}  // namespace

int WorkerLanes::run(std::size_t lanes) {
    lanes = std::min(lanes, ledger_.waiting().size());
    while (lanes_.size() < lanes && !ledger_.is_stopping()) {
        start_lane();
    }
    const auto started = static_cast<int>(lanes_.size());
    while ((running() > 0 || !ledger_.waiting().empty()) && !ledger_.is_stopping()) {
        wait_for_news();
        // A lane that has died is erased, and another takes its place.
        for (auto lane = lanes_.begin(); lane != lanes_.end();) {
            lane = attend(*lane) ? std::next(lane) : lanes_.erase(lane);
        }
        while (lanes_.size() < std::min(lanes, running() + ledger_.waiting().size()) &&
               !ledger_.is_stopping()) {
            start_lane();
        }
        ledger_.tick();
    }
    end_lanes();
    return started;
}

std::size_t WorkerLanes::running() const {
    return static_cast<std::size_t>(std::count_if(
        lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.job.has_value(); }));
}

void WorkerLanes::start_lane() {
    Lane lane{std::make_unique<WorkerProcess>(command_), {}};
    // Cannot fail for a fresh socket; a worker that is gone by then shows in attend().
    lane.process->send(to_line(setup_));
    lanes_.push_back(std::move(lane));
    give_work(lanes_.back());
}

void WorkerLanes::give_work(Lane& lane) {
    if (ledger_.waiting().empty() || ledger_.is_stopping()) {
        return;
    }
    lane.process->send(to_line(ledger_.waiting().front()));
    lane.job = ledger_.start_next();
}

void WorkerLanes::wait_for_news() {
    std::vector<pollfd> waits;
    for (const Lane& lane : lanes_) {
        waits.push_back({lane.process->answers(), POLLIN, 0});
        waits.push_back({lane.process->output(), POLLIN, 0});
    }
    // A signal's handler may have asked for a stop: an interrupted wait is looked at as well.
    if (::poll(waits.data(), waits.size(), static_cast<int>(PrewarmLedger::kTick.count())) < 0 &&
        errno != EINTR) {
        throw std::system_error(errno, std::generic_category(), "prewarm: wait for workers");
    }
}

bool WorkerLanes::attend(Lane& lane) {
    lane.process->gather_output();
    for (const std::string& line : lane.process->receive()) {
        auto answer = parse_answer(line);
        if (const auto* message = std::get_if<WorkerMessage>(&answer)) {
            relay(*message);
        } else if (lane.job) {
            const PrewarmJob job = *std::exchange(lane.job, std::nullopt);
            relay_output(*lane.process);
            ledger_.finish(job, std::get<BuildOutcome>(std::move(answer)));
            give_work(lane);
        }
    }
    if (lane.process->answers() >= 0) {
        return true;
    }
    const WorkerProcess::End end = lane.process->wait(kPatience);
    if (lane.job) {
        tell_of_death(lane, end);
    }
    return false;
}

void WorkerLanes::tell_of_death(Lane& lane, const WorkerProcess::End& end) {
    std::string words = lane.process->take_output();
    words.erase(words.find_last_not_of('\n') + 1);
    ledger_.fail(*std::exchange(lane.job, std::nullopt), "WorkerDied",
                 fmt::format("the worker process that compiled it ended by {}{}{}", end.text,
                             end.killed ? "; if the machine ran out of memory, fewer workers "
                                          "(-j) need less"
                                        : "",
                             words.empty() ? "; it printed nothing"
                                           : fmt::format("; its last words:\n{}", words)));
}

// Each worker warns of the same things: told once.
void WorkerLanes::relay(const WorkerMessage& message) {
    if (relayed_.insert(message.text).second) {
        log(message.level, message.text);
    }
}

void WorkerLanes::relay_output(WorkerProcess& process) {
    const std::string words = process.take_output();
    if (!words.empty()) {
        relay({LogLevel::warning, fmt::format("prewarm: a worker printed: {}", words)});
    }
}

void WorkerLanes::end_lanes() {
    for (Lane& lane : lanes_) {
        lane.process->ask_to_end(ledger_.is_stopping());
    }
    for (Lane& lane : lanes_) {
        lane.process->wait(kPatience);
        // What it finished before it heard of the stop is done as well.
        for (const std::string& line : lane.process->receive()) {
            auto answer = parse_answer(line);
            if (auto* outcome = std::get_if<BuildOutcome>(&answer); outcome && lane.job) {
                ledger_.finish(*std::exchange(lane.job, std::nullopt), std::move(*outcome));
            }
        }
    }
    lanes_.clear();
}

}  // namespace opforge::builder
