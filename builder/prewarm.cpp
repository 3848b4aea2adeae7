#include "compile_times.hpp"
#include "prewarm_protocol.hpp"
#include "worker_process.hpp"

#include <opforge/base/log_sink.hpp>
#include <opforge/builder/prewarm.hpp>
#include <opforge/builder/profile.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <poll.h>
#include <set>
#include <system_error>
#include <utility>

namespace opforge::builder {
namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::microseconds;

constexpr std::chrono::milliseconds kTick{100};
// A worker that has been asked to end and does not is killed: the cache survives that.
constexpr std::chrono::milliseconds kPatience{1000};

Microseconds since(Clock::time_point start) {
    return std::chrono::duration_cast<Microseconds>(Clock::now() - start);
}

BuildOutcome failure(const PrewarmJob& job, std::string_view kind, std::string text) {
    BuildOutcome outcome;
    outcome.program = job.program;
    outcome.target = job.target;
    outcome.error = std::move(text);
    outcome.error_kind = kind;
    return outcome;
}

std::string why_not_kept(const cache::CacheRoot& root) {
    return root.path.empty()
               ? "there is no cache folder to keep it in: set --cache-dir or OPFORGE_CACHE_DIR"
               : fmt::format("the cache folder {} cannot be written: see the warning, or give "
                             "another with --cache-dir",
                             root.path.string());
}

class Run {
public:
    Run(const OpCatalog& catalog, const BuilderContext& context, const PrewarmOptions& options)
        : catalog_(catalog), context_(context), options_(options) {
        if (!context_.cache) {
            context_.cache = cache::process_cache();
        }
        if (!context_.compiler) {
            context_.compiler = nvrtc_compiler(context_.cache->root().path);
        }
        progress_.total = options.jobs.size();
    }

    PrewarmResult operator()() {
        for (const PrewarmJob& job : options_.jobs) {
            note_in_profile(job);
        }
        find_hits();
        if (!queue_.empty() && context_.cache->root().path.empty()) {
            give_up(why_not_kept(context_.cache->root()), "CacheError");
        }
        order();
        if (options_.worker_command.empty()) {
            compile_here();
        } else {
            compile_in_workers();
        }
        return std::move(*this).result();
    }

private:
    /// A worker and what it is at.
    struct Lane {
        std::unique_ptr<WorkerProcess> process;
        std::optional<PrewarmJob> job;
        Clock::time_point since;
    };

    [[nodiscard]] bool stopping() const { return options_.stop.stop_requested(); }

    [[nodiscard]] const OpBuilder& builder_of(const std::string& op) {
        auto& builder = builders_[op];
        if (!builder) {
            builder = catalog_.make(op, context_);
        }
        return *builder;
    }

    void find_hits() {
        for (const PrewarmJob& job : options_.jobs) {
            if (stopping()) {
                return;
            }
            if (auto outcome = builder_of(job.op).find_program(job.target, job.program)) {
                finish(job, *std::move(outcome));
            } else {
                queue_.push_back(job);
            }
            tick();
        }
    }

    void order() {
        if (queue_.size() < 2) {
            return;
        }
        record_from_cache(times_, *context_.cache);
        std::set<std::string> ops;
        for (const PrewarmJob& job : queue_) {
            ops.insert(job.op);
        }
        for (const std::string& op : ops) {
            for (const ProgramSpec& program : builder_of(op).programs()) {
                times_.expect(op, program.name, program.expected_milliseconds);
            }
        }
        times_.sort(queue_);
    }

    void compile_here() {
        while (!queue_.empty() && !stopping()) {
            const PrewarmJob job = queue_.front();
            queue_.erase(queue_.begin());
            started(job);
            finish(job, builder_of(job.op).build_program(job.target, job.program));
        }
    }

    void compile_in_workers() {
        const int wanted = options_.workers > 0 ? options_.workers : prewarm_workers();
        const std::size_t lanes = std::min(static_cast<std::size_t>(wanted), queue_.size());
        while (lanes_.size() < lanes && !stopping()) {
            start_lane();
        }
        result_.workers = static_cast<int>(lanes_.size());
        while (busy() && !stopping()) {
            wait_for_news();
            // A lane that has died is erased, and another takes its place.
            for (auto lane = lanes_.begin(); lane != lanes_.end();) {
                lane = attend(*lane) ? std::next(lane) : lanes_.erase(lane);
            }
            while (lanes_.size() < std::min(lanes, running() + queue_.size()) && !stopping()) {
                start_lane();
            }
            tick();
        }
        end_lanes();
    }

    [[nodiscard]] std::size_t running() const {
        return static_cast<std::size_t>(std::count_if(
            lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.job.has_value(); }));
    }
    [[nodiscard]] bool busy() const { return running() > 0 || !queue_.empty(); }

    void start_lane() {
        Lane lane{std::make_unique<WorkerProcess>(options_.worker_command), {}, Clock::now()};
        // Cannot fail for a fresh socket; a worker that is gone by then shows in attend().
        lane.process->send(to_line(WorkerSetup{context_.cache->root().path.string(),
                                               context_.cache->directory()->options().limits,
                                               context_.policy, log_level()}));
        lanes_.push_back(std::move(lane));
        give_work(lanes_.back());
    }

    void give_work(Lane& lane) {
        if (queue_.empty() || stopping()) {
            return;
        }
        lane.job = queue_.front();
        queue_.erase(queue_.begin());
        lane.since = Clock::now();
        lane.process->send(to_line(*lane.job));
        started(*lane.job);
    }

    void wait_for_news() {
        std::vector<pollfd> waits;
        for (const Lane& lane : lanes_) {
            waits.push_back({lane.process->answers(), POLLIN, 0});
            waits.push_back({lane.process->output(), POLLIN, 0});
        }
        // A signal's handler may have asked for a stop: an interrupted wait is looked at as well.
        if (::poll(waits.data(), waits.size(), static_cast<int>(kTick.count())) < 0 &&
            errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "prewarm: wait for workers");
        }
    }

    // False where the worker is gone.
    bool attend(Lane& lane) {
        lane.process->gather_output();
        for (const std::string& line : lane.process->receive()) {
            auto answer = parse_answer(line);
            if (const auto* message = std::get_if<WorkerMessage>(&answer)) {
                relay(*message);
            } else if (lane.job) {
                const PrewarmJob job = *std::exchange(lane.job, std::nullopt);
                times_.observe(times_.estimate(job), since(lane.since));
                relay_output(*lane.process);
                finish(job, std::get<BuildOutcome>(std::move(answer)));
                give_work(lane);
            }
        }
        if (lane.process->answers() >= 0) {
            return true;
        }
        const WorkerProcess::End end = lane.process->wait(kPatience);
        if (lane.job) {
            const PrewarmJob job = *std::exchange(lane.job, std::nullopt);
            finish(job, died(job, *lane.process, end));
        }
        return false;
    }

    static BuildOutcome died(const PrewarmJob& job, WorkerProcess& process,
                             const WorkerProcess::End& end) {
        std::string words = process.take_output();
        words.erase(words.find_last_not_of('\n') + 1);
        return failure(job, "WorkerDied",
                       fmt::format("the worker process that compiled it ended by {}{}{}", end.text,
                                   end.killed ? "; if the machine ran out of memory, fewer workers "
                                                "(-j) need less"
                                              : "",
                                   words.empty() ? "; it printed nothing"
                                                 : fmt::format("; its last words:\n{}", words)));
    }

    // Each worker warns of the same things: told once.
    void relay(const WorkerMessage& message) {
        if (relayed_.insert(message.text).second) {
            log(message.level, message.text);
        }
    }
    void relay_output(WorkerProcess& process) {
        const std::string words = process.take_output();
        if (!words.empty()) {
            relay({LogLevel::warning, fmt::format("prewarm: a worker printed: {}", words)});
        }
    }

    void end_lanes() {
        for (Lane& lane : lanes_) {
            lane.process->ask_to_end(stopping());
        }
        for (Lane& lane : lanes_) {
            lane.process->wait(kPatience);
            // What it finished before it heard of the stop is done as well.
            for (const std::string& line : lane.process->receive()) {
                auto answer = parse_answer(line);
                if (auto* outcome = std::get_if<BuildOutcome>(&answer); outcome && lane.job) {
                    finish(*std::exchange(lane.job, std::nullopt), std::move(*outcome));
                }
            }
        }
        lanes_.clear();
    }

    void started(const PrewarmJob& job) {
        running_here_ = options_.worker_command.empty() ? std::optional(job) : std::nullopt;
        since_here_ = Clock::now();
        tell({PrewarmEvent::Kind::started, &job, nullptr});
    }

    void finish(const PrewarmJob& job, BuildOutcome outcome) {
        const bool kept = !outcome.directory.empty();
        if (outcome.error.empty() && outcome.compiled && !kept) {
            outcome.error_kind = "CacheError";
            outcome.error = why_not_kept(context_.cache->root());
        }
        if (running_here_) {
            times_.observe(times_.estimate(job), since(since_here_));
            running_here_.reset();
        }
        const std::string kind = outcome.error_kind;
        const std::string text = outcome.error;
        ++(!outcome.error.empty() ? progress_.failed
           : outcome.compiled     ? progress_.compiled
                                  : progress_.hits);
        done_.push_back({job, std::move(outcome)});
        tell({PrewarmEvent::Kind::done, &done_.back().job, &done_.back().outcome});
        if (kind == "CacheError") {
            give_up(text, kind);  // compiling more, only to lose it, helps nobody
        } else if (kind == "ToolchainNotFound") {
            give_up(text, kind, job.target);  // no program of that target fares better
        }
    }

    // The jobs still waiting (of one target, where given) fail for the same reason.
    void give_up(const std::string& text, const std::string& kind,
                 const std::optional<Target>& target = std::nullopt) {
        std::vector<PrewarmJob> lost;
        std::erase_if(queue_, [&](const PrewarmJob& job) {
            const bool loses = !target || job.target == *target;
            if (loses) {
                lost.push_back(job);
            }
            return loses;
        });
        for (const PrewarmJob& job : lost) {
            finish(job, failure(job, kind, text));
        }
    }

    void tick() {
        if (Clock::now() - last_tick_ >= kTick) {
            tell({});
        }
    }

    void tell(const PrewarmEvent& event) {
        if (!options_.observer) {
            return;
        }
        if (event.kind == PrewarmEvent::Kind::tick) {
            last_tick_ = Clock::now();
        }
        progress_.elapsed = since(start_);
        progress_.running.clear();
        for (const Lane& lane : lanes_) {
            if (lane.job) {
                progress_.running.push_back({*lane.job, since(lane.since)});
            }
        }
        if (running_here_) {
            progress_.running.push_back({*running_here_, since(since_here_)});
        }
        std::stable_sort(
            progress_.running.begin(), progress_.running.end(),
            [](const auto& one, const auto& other) { return one.since > other.since; });
        progress_.remaining = remaining();
        options_.observer(event, progress_);
    }

    [[nodiscard]] std::optional<Microseconds> remaining() const {
        if (progress_.compiled == 0) {
            return std::nullopt;
        }
        Microseconds work{};
        Microseconds longest{};
        for (const PrewarmJob& job : queue_) {
            work += times_.estimate(job);
        }
        for (const auto& [job, taken] : progress_.running) {
            const auto estimated = Microseconds(static_cast<std::int64_t>(
                static_cast<double>(times_.estimate(job).count()) * times_.correction()));
            const Microseconds left = std::max(Microseconds{}, estimated - taken);
            longest = std::max(longest, left);
        }
        const auto lanes = static_cast<double>(std::max<std::size_t>(lanes_.size(), 1));
        const auto queued = Microseconds(static_cast<std::int64_t>(
            static_cast<double>(work.count()) * times_.correction() / lanes));
        return queued + longest;
    }

    PrewarmResult result() && {
        std::map<std::pair<std::string, std::string>, std::map<std::string, std::size_t>> places;
        for (std::size_t i = 0; i < options_.jobs.size(); ++i) {
            const PrewarmJob& job = options_.jobs[i];
            places[{job.op, job.program}][job.target.name()] = i;
        }
        std::vector<std::pair<std::size_t, PrewarmItem>> placed;
        for (PrewarmItem& item : done_) {
            const std::size_t place =
                places[{item.job.op, item.job.program}][item.job.target.name()];
            placed.emplace_back(place, std::move(item));
        }
        std::sort(placed.begin(), placed.end(),
                  [](const auto& one, const auto& other) { return one.first < other.first; });
        for (auto& [place, item] : placed) {
            result_.items.push_back(std::move(item));
        }
        result_.unfinished = options_.jobs.size() - result_.items.size();
        return std::move(result_);
    }

    const OpCatalog& catalog_;
    BuilderContext context_;
    const PrewarmOptions& options_;
    const Clock::time_point start_ = Clock::now();
    Clock::time_point last_tick_ = start_;
    std::map<std::string, std::unique_ptr<OpBuilder>> builders_;
    std::vector<PrewarmJob> queue_;  // to compile, longest first
    CompileTimes times_;
    std::list<Lane> lanes_;
    std::optional<PrewarmJob> running_here_;
    Clock::time_point since_here_;
    std::deque<PrewarmItem> done_;
    std::set<std::string> relayed_;
    PrewarmProgress progress_;
    PrewarmResult result_;
};

}  // namespace

PrewarmResult prewarm(const OpCatalog& catalog, const BuilderContext& context,
                      const PrewarmOptions& options) {
    return Run(catalog, context, options)();
}

}  // namespace opforge::builder
