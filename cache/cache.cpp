#include "flights.hpp"
#include "lock_place.hpp"
#include "memory_layer.hpp"
#include "publish.hpp"
#include "warnings.hpp"

#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

namespace opforge::cache {
namespace {

using std::chrono::milliseconds;

struct AtomicCounters {
    std::atomic<std::uint64_t> memory_hits, directory_hits, misses, compiles, failed_compiles,
        shared_waits, published, publish_failures, quarantined, refused, lock_waits, lock_hits,
        lock_timeouts, lock_unavailable, lock_wait_milliseconds;
};

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

struct Cache::Implementation {
    Implementation(const CacheOptions& given, FileSystem& file_system)
        : options(given), files(file_system),
          root(options.memory_only ? CacheRoot{{}, "none", {}} : select_root(options.directory)) {
        if (!root.path.empty()) {
            StoreOptions store;
            store.limits = options.limits ? *options.limits : limits_of_environment();
            directory.emplace(root.path, files, store);
        }
    }

    CacheOptions options;
    FileSystem& files;
    CacheRoot root;
    std::optional<DirectoryStore> directory;
    MemoryLayer memory;
    Flights flights;
    AtomicCounters counters{};
    Warnings warnings;
    std::atomic_flag swept;

    enum class LookNumber { first, second };
    [[nodiscard]] Result find_in_directory(const Lookup& lookup, const Digest& want,
                                           LookNumber number = LookNumber::first);
    [[nodiscard]] Result fly(const Lookup& lookup, const Digest& want,
                             const std::function<Built()>& build);
    [[nodiscard]] std::unique_ptr<KeyLock> lock(const Lookup& lookup, const Digest& want,
                                                std::string& fault);
    void note_wait(const KeyLock& lock, const std::string& program);
    void tell(const LockWait& wait);
    [[nodiscard]] Result compile(const Lookup& lookup, const Digest& want,
                                 const std::function<Built()>& build, bool replace);
    [[nodiscard]] std::filesystem::path keep(const Built& built, bool replace);
    void warn_of_no_directory();
};

// The directory's answer; a hit is remembered in memory.
Result Cache::Implementation::find_in_directory(const Lookup& lookup, const Digest& want,
                                                LookNumber number) {
    if (lookup.policy == Policy::exact && !lookup.toolchain) {
        return {nullptr, Origin::memory, "policy exact finds nothing where no toolchain is known"};
    }
    if (!directory) {
        return {nullptr, Origin::memory,
                "not compiled yet by this process, and there is no cache directory"};
    }
    const bool first = number == LookNumber::first;
    const Lateness lateness = first ? Lateness::trusted : Lateness::expected;
    DirectoryStore::Found found =
        lookup.policy == Policy::exact
            ? directory->find(lookup.request, want, *lookup.toolchain, lookup.acceptable, lateness)
            : directory->find_any(lookup.request, lookup.acceptable, lateness);
    // What the first look refused and could not move is met again by the second.
    if (first || found.quarantined > 0) {
        counters.refused += found.refused;
        counters.quarantined += found.quarantined;
        if (found.refused > 0) {
            log(LogLevel::info,
                fmt::format("cache: {} of {} not served, {} moved to quarantine{}{}", found.refused,
                            lookup.request.program, found.quarantined,
                            found.reason.empty() ? "" : "; ", found.reason));
        }
    }
    if (found.entry) {
        ++counters.directory_hits;
        memory.add(want, found.entry);
    }
    return {std::move(found.entry), Origin::user_directory, std::move(found.reason)};
}

// What a miss comes to: at most one compile of a key at a time on this machine.
Result Cache::Implementation::fly(const Lookup& lookup, const Digest& want,
                                  const std::function<Built()>& build) {
    // Between the caller's look and taking off, another flight may have landed.
    Result result{memory.find(want, lookup), Origin::memory, {}};
    if (result.entry) {
        ++counters.memory_hits;
        return result;
    }
    result = find_in_directory(lookup, want);
    if (result.entry) {
        return result;
    }
    std::string lock_fault;
    const auto lock = directory ? this->lock(lookup, want, lock_fault) : nullptr;
    if (lock) {
        result = find_in_directory(lookup, want, LookNumber::second);
        if (result.entry) {
            ++counters.lock_hits;
            return result;
        }
        lock->announce();
    }
    ++counters.misses;
    result = compile(lookup, want, build, false);
    if (!lock_fault.empty() && !result.entry->directory.empty()) {
        // Where publishing failed as well, that is what is warned of.
        warnings.warn("lock", fmt::format("cache: compiled {} without a lock, as other processes "
                                          "may at the same time: {}",
                                          lookup.request.program, lock_fault));
    }
    return result;
}

// Null, and why, where there is no lock to be had.
std::unique_ptr<KeyLock> Cache::Implementation::lock(const Lookup& lookup, const Digest& want,
                                                     std::string& fault) {
    const KeyLock::Terms terms{fmt::format("{}/{} for {}", lookup.request.op,
                                           lookup.request.program, lookup.request.target),
                               [&] {
                                   return options.lock_limit
                                              ? *options.lock_limit
                                              : limit_for(directory->recorded_compile_time(want));
                               },
                               [this](const LockWait& wait) { tell(wait); }};
    try {
        const StoreContext store{files, root.path, {}};
        auto lock = std::make_unique<KeyLock>(
            KeyLock::acquire(files, lock_place(files, open_or_create_version(store)), want, terms));
        note_wait(*lock, terms.program);
        return lock;
    } catch (const CacheError& error) {
        ++counters.lock_unavailable;
        fault = error.what();
        log(LogLevel::debug, fault);
        return nullptr;
    }
}

void Cache::Implementation::note_wait(const KeyLock& lock, const std::string& program) {
    if (lock.waited() > milliseconds(0)) {
        ++counters.lock_waits;
        counters.lock_wait_milliseconds += static_cast<std::uint64_t>(lock.waited().count());
    }
    if (lock.outcome() == KeyLock::Outcome::timed_out) {
        ++counters.lock_timeouts;
        warnings.warn("lock timeout",
                      fmt::format("cache: waited {:.1f} s for {} to compile {} and now compiles it "
                                  "itself; if that process hangs, end it (the lock is {})",
                                  seconds(lock.waited()), who(lock.holder()), program,
                                  lock.path().string()));
    }
}

void Cache::Implementation::tell(const LockWait& wait) {
    if (options.on_wait) {
        options.on_wait(wait);
        return;
    }
    log(LogLevel::warning,
        fmt::format("cache: {} is being compiled by {}; waiting for it since {:.1f} s, and after "
                    "{:.0f} s it is compiled here (the lock is {})",
                    wait.program, who(wait.holder), seconds(wait.waited), seconds(wait.limit),
                    wait.lock.string()));
}

void Cache::Implementation::warn_of_no_directory() {
    if (options.memory_only) {
        return;
    }
    std::string places;
    for (const std::string& refusal : root.refusals) {
        places += (places.empty() ? "" : "; ") + refusal;
    }
    warnings.warn("no directory",
                  fmt::format("cache: no directory to keep compiled kernels in ({}): they are kept "
                              "in memory only; set OPFORGE_CACHE_DIR to an absolute path",
                              places));
}

// Publishes as far as the disk lets it: an op never fails for a cache that cannot be written.
std::filesystem::path Cache::Implementation::keep(const Built& built, bool replace) {
    if (!directory) {
        warn_of_no_directory();
        return {};
    }
    try {
        std::filesystem::path path = replace ? directory->replace(built.manifest, built.artifact)
                                             : directory->publish(built.manifest, built.artifact);
        ++counters.published;
        // What a killed process left in tmp goes when somebody pays for a compile anyway, once a
        // process.
        if (!swept.test_and_set()) {
            directory->sweep();
        }
        return path;
    } catch (const std::exception& error) {
        ++counters.publish_failures;
        const auto* refused = dynamic_cast<const CacheError*>(&error);
        warnings.warn(
            fmt::format("publish {}", refused == nullptr ? 0 : refused->code().value()),
            fmt::format(
                "cache: compiled kernels cannot be kept, each process will compile anew: {}",
                error.what()));
        return {};
    }
}

Result Cache::Implementation::compile(const Lookup& lookup, const Digest& want,
                                      const std::function<Built()>& build, bool replace) {
    Built built = [&] {
        try {
            return build();
        } catch (...) {
            ++counters.failed_compiles;
            throw;
        }
    }();
    ++counters.compiles;
    const Artifact& artifact = built.manifest.artifact;
    if (want_digest(built.manifest.request) != want ||
        artifact.size_bytes != built.artifact.size() || artifact.sha256 != sha256(built.artifact)) {
        throw InvalidArgument(fmt::format("cache {}: what was built is not what was asked for; the "
                                          "manifest must hold the lookup's request "
                                          "and the artifact's size and SHA-256",
                                          lookup.request.program));
    }
    auto entry = std::make_shared<Entry>();
    entry->directory = keep(built, replace);
    entry->manifest = std::move(built.manifest);
    entry->artifact = std::move(built.artifact);
    memory.add(want, entry);
    return {std::move(entry), Origin::compiled, {}};
}

Cache::Cache(const CacheOptions& options, FileSystem& files)
    : implementation_(new Implementation(options, files)) {}
Cache::~Cache() = default;

const CacheRoot& Cache::root() const noexcept {
    return implementation_->root;
}

DirectoryStore* Cache::directory() noexcept {
    return implementation_->directory ? &*implementation_->directory : nullptr;
}

Result Cache::find(const Lookup& lookup) {
    const Digest want = want_digest(lookup.request);
    if (auto entry = implementation_->memory.find(want, lookup)) {
        ++implementation_->counters.memory_hits;
        return {std::move(entry), Origin::memory, {}};
    }
    Result result = implementation_->find_in_directory(lookup, want);
    if (!result.entry) {
        ++implementation_->counters.misses;
    }
    return result;
}

Result Cache::find_or_build(const Lookup& lookup, const std::function<Built()>& build) {
    if (lookup.policy == Policy::offline) {
        return find(lookup);
    }
    Implementation& self = *implementation_;
    const Digest want = want_digest(lookup.request);
    // Where any toolchain's entry serves, any one's compile does; policy exact tells the toolchains
    // apart.
    const Digest key = lookup.policy == Policy::exact && lookup.toolchain
                           ? full_digest(lookup.request, *lookup.toolchain)
                           : want;
    for (;;) {
        if (auto entry = self.memory.find(want, lookup)) {
            ++self.counters.memory_hits;
            return {std::move(entry), Origin::memory, {}};
        }
        const Flights::Boarding boarding = self.flights.join(key);
        if (boarding.own) {
            try {
                Result result = self.fly(lookup, want, build);
                boarding.own->land(result.entry);
                return result;
            } catch (...) {
                boarding.own->crash(std::current_exception());
                throw;
            }
        }
        ++self.counters.shared_waits;
        const Landing::Report report = boarding.landing->wait();
        if (report.outcome == Landing::Outcome::crashed) {
            std::rethrow_exception(report.error);  // what the builder threw
        }
        if (report.entry && (!lookup.acceptable || lookup.acceptable(report.entry->manifest))) {
            return {report.entry, Origin::memory, {}};
        }
        // Nothing came of it, or nothing of use here: fly oneself.
    }
}

Result Cache::rebuild(const Lookup& lookup, const std::function<Built()>& build) {
    if (lookup.policy == Policy::offline) {
        return {nullptr, Origin::memory, "policy offline never compiles"};
    }
    return implementation_->compile(lookup, want_digest(lookup.request), build, true);
}

Counters Cache::counters() const noexcept {
    const AtomicCounters& from = implementation_->counters;
    Counters to;
    to.memory_hits = from.memory_hits;
    to.directory_hits = from.directory_hits;
    to.misses = from.misses;
    to.compiles = from.compiles;
    to.failed_compiles = from.failed_compiles;
    to.shared_waits = from.shared_waits;
    to.published = from.published;
    to.publish_failures = from.publish_failures;
    to.quarantined = from.quarantined;
    to.refused = from.refused;
    to.evicted = implementation_->directory ? implementation_->directory->evicted().entries : 0;
    to.lock_waits = from.lock_waits;
    to.lock_hits = from.lock_hits;
    to.lock_timeouts = from.lock_timeouts;
    to.lock_unavailable = from.lock_unavailable;
    to.lock_wait_milliseconds = from.lock_wait_milliseconds;
    return to;
}

const std::shared_ptr<Cache>& process_cache() {
    // Never destroyed: threads may use it while the process ends.
    static const auto& instance = *new std::shared_ptr<Cache>(std::make_shared<Cache>());
    return instance;
}

}  // namespace opforge::cache
