// Compiling ahead of the first use, many programs at once: into the cache, with no GPU and no
// driver. Compiles run in worker processes: threads that share one libnvrtc serialise, and a
// compiler that crashes takes nobody along.
// One call at a time a cache; the calling thread does the work, and calls the observer.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/op_catalog.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace opforge::builder {

/// One program for one target.
struct PrewarmJob {
    std::string op;
    std::string program;
    Target target;
    friend bool operator==(const PrewarmJob&, const PrewarmJob&) = default;
};

/// Every program of `ops` (empty: of all in the catalog; "op/program" names one) for every target,
/// each once: a target's suffix is dropped for programs that do not want it.
/// @throws InvalidArgument for an unknown op or program
[[nodiscard]] OPFORGE_API std::vector<PrewarmJob> prewarm_jobs(const OpCatalog& catalog,
                                                               const BuilderContext& context,
                                                               const std::vector<std::string>& ops,
                                                               const std::vector<Target>& targets);

/// How far a prewarm is.
struct PrewarmProgress {
    struct Running {
        PrewarmJob job;
        std::chrono::microseconds since{};  // how long already
    };
    std::size_t total = 0;
    std::size_t hits = 0;  // were ready
    std::size_t compiled = 0;
    std::size_t failed = 0;
    std::vector<Running> running;  // longest first
    std::chrono::microseconds elapsed{};
    /// By recorded compile times, corrected by what this run has taken; nullopt where nothing is
    /// known yet.
    std::optional<std::chrono::microseconds> remaining;

    [[nodiscard]] std::size_t done() const noexcept { return hits + compiled + failed; }
};

struct PrewarmEvent {
    enum class Kind {
        started,  // `job` is being compiled
        done,     // `job` is ready or has failed: `outcome`
        tick,     // nothing new; comes ten times a second
    };
    Kind kind = Kind::tick;
    const PrewarmJob* job = nullptr;
    const BuildOutcome* outcome = nullptr;
};
using PrewarmObserver = std::function<void(const PrewarmEvent&, const PrewarmProgress&)>;

struct PrewarmOptions {
    std::vector<PrewarmJob> jobs;
    /// Worker processes; 0: prewarm_workers(). Never more than there is to compile.
    int workers = 0;
    /// The command line of a worker: a program that calls serve_prewarm() with the same catalog, as
    /// every tool made with opforge::tool::run does for {"/path/to/tool", "prewarm", "--worker"}.
    /// Empty: no processes, the calling thread compiles one after another.
    std::vector<std::string> worker_command;
    /// Asked for: compiles under way are given up, what is finished stays in the cache.
    std::stop_token stop;
    /// Must not throw.
    PrewarmObserver observer;
};

struct PrewarmItem {
    PrewarmJob job;
    /// `error_kind` "WorkerDied": its process ended; the error holds what it wrote last.
    BuildOutcome outcome;
};

struct PrewarmResult {
    std::vector<PrewarmItem> items;  // in the order of the jobs; those not done are left out
    std::size_t unfinished = 0;      // given up by a stop
    int workers = 0;                 // processes that compiled
};

/// OPFORGE_JOBS, else MAX_JOBS, else as many as there are processors to use and memory for.
/// @throws InvalidArgument where the variable is no count
[[nodiscard]] OPFORGE_API int prewarm_workers();

/// Finds or compiles every job. What fails is in the outcomes; a compile that cannot be kept is a
/// failure (`CacheError`), after which nothing more is compiled.
/// @throws std::system_error where no worker process can be started
[[nodiscard]] OPFORGE_API PrewarmResult prewarm(const OpCatalog& catalog,
                                                const BuilderContext& context,
                                                const PrewarmOptions& options);

/// A worker process's main loop, over its standard input, which prewarm() gave it: compiles what it
/// is told, until that is closed. Takes the process's signals and standard files.
OPFORGE_API void serve_prewarm(const OpCatalog& catalog);

}  // namespace opforge::builder
