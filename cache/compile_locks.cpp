#include "compile_locks.hpp"

#include "lock_place.hpp"
#include "patience.hpp"
#include "publish.hpp"

#include <opforge/base/log_sink.hpp>
#include <opforge/cache/errors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace opforge::cache {
namespace {

using std::chrono::milliseconds;

// Long enough for a compile that takes ten times as long as the last one, or for one that nobody
// has measured; short enough that a stopped process holds nobody up for long.
milliseconds limit_for(std::optional<std::chrono::microseconds> recorded) {
    constexpr milliseconds kLeast = std::chrono::seconds(10);
    constexpr milliseconds kMost = std::chrono::seconds(120);
    constexpr int kFactor = 10;
    if (!recorded || *recorded > kMost) {
        return kMost;
    }
    return std::clamp(std::chrono::duration_cast<milliseconds>(*recorded * kFactor), kLeast, kMost);
}

double seconds(milliseconds time) {
    return std::chrono::duration<double>(time).count();
}

std::string who(const std::string& holder) {
    return holder.empty() ? "another process" : holder;
}

}  // namespace

std::unique_ptr<KeyLock> CompileLocks::acquire(const Lookup& lookup, const Digest& want,
                                               std::string& fault) {
    DirectoryStore* const directory = disk_.directory();
    if (directory == nullptr) {
        return nullptr;
    }
    const KeyLock::Terms terms{fmt::format("{}/{} for {}", lookup.request.op,
                                           lookup.request.program, lookup.request.target),
                               [&] {
                                   return options_.lock_limit
                                              ? *options_.lock_limit
                                              : limit_for(directory->recorded_compile_time(want));
                               },
                               [this](const LockWait& wait) { tell(wait); }};
    const StoreContext store{files_, directory->root(), {}};
    Patience patience(files_);
    for (;;) {
        try {
            auto lock = std::make_unique<KeyLock>(KeyLock::acquire(
                files_, lock_place(files_, open_or_create_version(store)), want, terms));
            note_wait(*lock, terms.program);
            return lock;
        } catch (const CacheError& error) {
            if (is_passing(error.code()) && patience.wait()) {
                continue;
            }
            ++counters_.lock_unavailable;
            fault = error.what();
            log(LogLevel::debug, fault);
            return nullptr;
        }
    }
}

void CompileLocks::note_wait(const KeyLock& lock, const std::string& program) {
    if (lock.waited() > milliseconds(0)) {
        ++counters_.lock_waits;
        counters_.lock_wait_milliseconds += static_cast<std::uint64_t>(lock.waited().count());
    }
    if (lock.outcome() == KeyLock::Outcome::timed_out) {
        ++counters_.lock_timeouts;
        warnings_.warn(
            "lock timeout",
            fmt::format("cache: waited {:.1f} s for {} to compile {} and now compiles it "
                        "itself; if that process hangs, end it (the lock is {})",
                        seconds(lock.waited()), who(lock.holder()), program, lock.path().string()));
    }
}

void CompileLocks::tell(const LockWait& wait) const {
    if (options_.on_wait) {
        options_.on_wait(wait);
        return;
    }
    log(LogLevel::warning,
        fmt::format("cache: {} is being compiled by {}; waiting for it since {:.1f} s, and after "
                    "{:.0f} s it is compiled here (the lock is {})",
                    wait.program, who(wait.holder), seconds(wait.waited), seconds(wait.limit),
                    wait.lock.string()));
}

}  // namespace opforge::cache
