// What a prewarm has done and still has to do: the jobs that wait, longest first, those under way,
// the outcomes; and the telling of it. One thread. Private.
#pragma once

#include "compile_times.hpp"

#include <opforge/builder/prewarm.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::builder {

class PrewarmLedger {
public:
    /// `options` must outlive it. `root`: of the cache that all is kept in.
    PrewarmLedger(const PrewarmOptions& options, const cache::CacheRoot& root);

    [[nodiscard]] bool is_stopping() const { return options_.stop.stop_requested(); }

    // --- what waits
    void add(const PrewarmJob& job) { waiting_.push_back(job); }
    [[nodiscard]] const std::vector<PrewarmJob>& waiting() const noexcept { return waiting_; }
    void order(CompileTimes times);

    // --- what happens
    /// Takes the first of those that wait: it is being compiled from now on.
    [[nodiscard]] PrewarmJob start_next();
    /// A job that was started, or needed no compile. After an outcome that others are bound to
    /// share, those that wait have it, too.
    void finish(const PrewarmJob& job, BuildOutcome outcome);
    void fail(const PrewarmJob& job, std::string_view kind, std::string text);
    /// All that waits (of one target, where given) fails for this reason.
    void give_up(const std::string& text, const std::string& kind,
                 const std::optional<Target>& target = std::nullopt);
    /// All that waits, since there is no folder to keep it in.
    void give_up_without_folder() { give_up(why_not_kept_, "CacheError"); }
    /// Tells the observer, ten times a second, however often it is called.
    void tick();

    /// How often to call tick().
    static constexpr std::chrono::milliseconds kTick{100};

    [[nodiscard]] PrewarmResult result() &&;

private:
    using Clock = std::chrono::steady_clock;
    struct Running {
        PrewarmJob job;
        Clock::time_point since;
    };
    void tell(const PrewarmEvent& event);
    [[nodiscard]] std::optional<std::chrono::microseconds> remaining() const;

    const PrewarmOptions& options_;
    std::string why_not_kept_;
    const Clock::time_point start_ = Clock::now();
    Clock::time_point last_tick_ = start_;
    std::vector<PrewarmJob> waiting_;
    CompileTimes times_;
    std::vector<Running> running_;  // longest first: in the order in which they were started
    std::size_t most_running_ = 1;
    std::deque<PrewarmItem> done_;  // observers are given pointers into it
    PrewarmProgress progress_;
};

}  // namespace opforge::builder
