#include "prewarm_ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

namespace opforge::builder {
namespace {

using Microseconds = std::chrono::microseconds;

Microseconds since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration_cast<Microseconds>(std::chrono::steady_clock::now() - start);
}

Microseconds scaled(Microseconds time, double factor) {
    return Microseconds(static_cast<std::int64_t>(static_cast<double>(time.count()) * factor));
}

}  // namespace

PrewarmLedger::PrewarmLedger(const PrewarmOptions& options, const cache::CacheRoot& root)
    : options_(options),
      why_not_kept_(
          root.path.empty()
              ? "there is no cache folder to keep it in: set --cache-dir or OPFORGE_CACHE_DIR"
              : fmt::format("the cache folder {} cannot be written: see the warning, or give "
                            "another with --cache-dir",
                            root.path.string())) {
    progress_.total = options.jobs.size();
}

void PrewarmLedger::order(CompileTimes times) {
    times_ = std::move(times);
    times_.sort(waiting_);
}

PrewarmJob PrewarmLedger::start_next() {
    PrewarmJob job = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    running_.push_back({job, Clock::now()});
    most_running_ = std::max(most_running_, running_.size());
    tell({PrewarmEvent::Kind::started, &job, nullptr});
    return job;
}

void PrewarmLedger::finish(const PrewarmJob& job, BuildOutcome outcome) {
    if (outcome.error.empty() && outcome.compiled && outcome.directory.empty()) {
        outcome.error_kind = "CacheError";
        outcome.error = why_not_kept_;
    }
    const auto running = std::find_if(running_.begin(), running_.end(),
                                      [&job](const Running& each) { return each.job == job; });
    if (running != running_.end()) {
        if (outcome.error.empty()) {
            times_.observe(times_.estimate(job), since(running->since));
        }
        running_.erase(running);
    }
    ++(!outcome.error.empty() ? progress_.failed
       : outcome.compiled     ? progress_.compiled
                              : progress_.hits);
    done_.push_back({job, std::move(outcome)});
    const PrewarmItem& item = done_.back();
    tell({PrewarmEvent::Kind::done, &item.job, &item.outcome});
    if (item.outcome.error_kind == "CacheError") {
        // Compiling more, only to lose it, helps nobody.
        give_up(item.outcome.error, item.outcome.error_kind);
    } else if (item.outcome.error_kind == "ToolchainNotFound") {
        // No program of that target fares better.
        give_up(item.outcome.error, item.outcome.error_kind, item.job.target);
    }
}

void PrewarmLedger::fail(const PrewarmJob& job, std::string_view kind, std::string text) {
    BuildOutcome outcome;
    outcome.program = job.program;
    outcome.target = job.target;
    outcome.error = std::move(text);
    outcome.error_kind = kind;
    finish(job, std::move(outcome));
}

void PrewarmLedger::give_up(const std::string& text, const std::string& kind,
                            const std::optional<Target>& target) {
    std::vector<PrewarmJob> lost;
    std::erase_if(waiting_, [&](const PrewarmJob& job) {
        const bool loses = !target || job.target == *target;
        if (loses) {
            lost.push_back(job);
        }
        return loses;
    });
    for (const PrewarmJob& job : lost) {
        fail(job, kind, text);
    }
}

void PrewarmLedger::tick() {
    if (Clock::now() - last_tick_ >= kTick) {
        last_tick_ = Clock::now();
        tell({});
    }
}

void PrewarmLedger::tell(const PrewarmEvent& event) {
    if (!options_.observer) {
        return;
    }
    progress_.elapsed = since(start_);
    progress_.running.clear();
    for (const Running& each : running_) {
        progress_.running.push_back({each.job, since(each.since)});
    }
    progress_.remaining = remaining();
    options_.observer(event, progress_);
}

std::optional<Microseconds> PrewarmLedger::remaining() const {
    if (progress_.compiled == 0) {
        return std::nullopt;
    }
    Microseconds work{};
    for (const PrewarmJob& job : waiting_) {
        work += times_.estimate(job);
    }
    Microseconds longest{};
    for (const auto& [job, taken] : progress_.running) {
        longest = std::max(longest, scaled(times_.estimate(job), times_.correction()) - taken);
    }
    return scaled(work, times_.correction() / static_cast<double>(most_running_)) + longest;
}

PrewarmResult PrewarmLedger::result() && {
    std::map<std::pair<std::string, std::string>, std::map<std::string, std::size_t>> places;
    for (std::size_t i = 0; i < options_.jobs.size(); ++i) {
        const PrewarmJob& job = options_.jobs[i];
        places[{job.op, job.program}][job.target.name()] = i;
    }
    const auto place_of = [&places](const PrewarmItem& item) {
        return places[{item.job.op, item.job.program}][item.job.target.name()];
    };
    std::vector<std::pair<std::size_t, PrewarmItem>> placed;
    for (PrewarmItem& item : done_) {
        const std::size_t place = place_of(item);
        placed.emplace_back(place, std::move(item));
    }
    std::sort(placed.begin(), placed.end(),
              [](const auto& one, const auto& other) { return one.first < other.first; });
    PrewarmResult result;
    for (auto& [place, item] : placed) {
        result.items.push_back(std::move(item));
    }
    result.unfinished = options_.jobs.size() - result.items.size();
    return result;
}

}  // namespace opforge::builder
