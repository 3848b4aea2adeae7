#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <future>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace opforge::cache {
namespace {

constexpr std::array<Policy, 3> kPolicies = {Policy::exact, Policy::compatible, Policy::offline};

bool accepts(const Lookup& lookup, const Manifest& manifest) {
    return !lookup.acceptable || lookup.acceptable(manifest);
}

// Verified entries by want digest, newest toolchain first.
class Registry {
public:
    using Entries = std::vector<std::shared_ptr<const Entry>>;

    void add(const Digest& want, std::shared_ptr<const Entry> entry) {
        const std::lock_guard lock(mutex_);
        Entries& entries = by_want_[want];
        std::erase_if(entries, [&](const auto& old) {
            return old->manifest.toolchain == entry->manifest.toolchain;
        });
        const auto place = std::find_if(entries.begin(), entries.end(), [&](const auto& other) {
            return version(*other) <= version(*entry);
        });
        entries.insert(place, std::move(entry));
    }

    [[nodiscard]] std::shared_ptr<const Entry> find(const Digest& want,
                                                    const Lookup& lookup) const {
        // The caller's predicate runs outside the lock: it may be slow, or ask the cache itself.
        for (auto& entry : entries(want)) {
            const bool fits = lookup.policy != Policy::exact ||
                              (lookup.toolchain && entry->manifest.toolchain == *lookup.toolchain);
            if (fits && accepts(lookup, entry->manifest)) {
                return std::move(entry);
            }
        }
        return nullptr;
    }

private:
    [[nodiscard]] Entries entries(const Digest& want) const {
        const std::lock_guard lock(mutex_);
        const auto found = by_want_.find(want);
        return found == by_want_.end() ? Entries() : found->second;
    }
    static std::pair<int, int> version(const Entry& entry) {
        return {entry.manifest.toolchain.major, entry.manifest.toolchain.minor};
    }

    mutable std::mutex mutex_;
    std::map<Digest, Entries> by_want_;
};

// Work in progress by key. Whoever comes while it runs waits for what comes of it.
class Flights {
public:
    using Flight = std::shared_future<std::shared_ptr<const Entry>>;

    /// The flight to wait for; an invalid future where the caller is the one to fly, and must
    /// land().
    [[nodiscard]] Flight join(const Digest& key,
                              std::promise<std::shared_ptr<const Entry>>& promise) {
        const std::lock_guard lock(mutex_);
        const auto [place, is_first] = flights_.try_emplace(key);
        if (!is_first) {
            return place->second;
        }
        place->second = promise.get_future().share();
        return {};
    }
    void land(const Digest& key) {
        const std::lock_guard lock(mutex_);
        flights_.erase(key);
    }

private:
    std::mutex mutex_;
    std::map<Digest, Flight> flights_;
};

struct AtomicCounters {
    std::atomic<std::uint64_t> memory_hits, directory_hits, misses, compiles, failed_compiles,
        shared_waits, published, publish_failures, quarantined, refused;
};

CacheRoot root_of(const CacheOptions& options) {
    if (options.memory_only) {
        return {{}, "none", {}};
    }
    CacheRoot root = select_root(options.directory);
    if (root.path.empty()) {
        std::string places;
        for (const std::string& refusal : root.refusals) {
            places += (places.empty() ? "" : "; ") + refusal;
        }
        log(LogLevel::warning, fmt::format("cache: no directory to keep compiled kernels in ({}): "
                                           "they are kept in memory only; "
                                           "set OPFORGE_CACHE_DIR to an absolute path",
                                           places));
    }
    return root;
}

}  // namespace

std::string_view to_string(Policy policy) noexcept {
    switch (policy) {
    case Policy::exact:
        return "exact";
    case Policy::compatible:
        return "compatible";
    case Policy::offline:
        break;
    }
    return "offline";
}

Policy parse_policy(std::string_view text) {
    const auto* const found = std::find_if(kPolicies.begin(), kPolicies.end(), [&](Policy policy) {
        return to_string(policy) == text;
    });
    if (found == kPolicies.end()) {
        throw InvalidArgument(fmt::format(
            "read cache policy: '{}' is not one; use exact, compatible or offline", text));
    }
    return *found;
}

std::string_view to_string(Origin origin) noexcept {
    switch (origin) {
    case Origin::memory:
        return "memory";
    case Origin::user_directory:
        return "user_directory";
    case Origin::compiled:
        break;
    }
    return "compiled";
}

struct Cache::Implementation {
    Implementation(const CacheOptions& options, FileSystem& files) : root(root_of(options)) {
        if (!root.path.empty()) {
            directory.emplace(root.path, files);
        }
    }

    CacheRoot root;
    std::optional<DirectoryStore> directory;
    Registry registry;
    Flights flights;
    AtomicCounters counters{};
    std::atomic_flag warned;
    std::atomic_flag swept;

    [[nodiscard]] Result find_in_directory(const Lookup& lookup, const Digest& want);
    [[nodiscard]] Result compile(const Lookup& lookup, const Digest& want,
                                 const std::function<Built()>& build, bool replace);
    [[nodiscard]] std::filesystem::path keep(const Built& built, bool replace);
};

// The directory's answer; a hit is remembered in memory.
Result Cache::Implementation::find_in_directory(const Lookup& lookup, const Digest& want) {
    if (lookup.policy == Policy::exact && !lookup.toolchain) {
        return {nullptr, Origin::memory, "policy exact finds nothing where no toolchain is known"};
    }
    if (!directory) {
        return {nullptr, Origin::memory,
                "not compiled yet by this process, and there is no cache directory"};
    }
    DirectoryStore::Found found =
        lookup.policy == Policy::exact
            ? directory->find(lookup.request, want, *lookup.toolchain, lookup.acceptable)
            : directory->find_any(lookup.request, lookup.acceptable);
    counters.refused += found.refused;
    counters.quarantined += found.quarantined;
    if (found.refused > 0) {
        log(LogLevel::info, fmt::format("cache: {} of {} not served, {} moved to quarantine{}{}",
                                        found.refused, lookup.request.program, found.quarantined,
                                        found.reason.empty() ? "" : "; ", found.reason));
    }
    if (found.entry) {
        ++counters.directory_hits;
        registry.add(want, found.entry);
    }
    return {std::move(found.entry), Origin::user_directory, std::move(found.reason)};
}

// Publishes as far as the disk lets it: an op never fails for a cache that cannot be written.
std::filesystem::path Cache::Implementation::keep(const Built& built, bool replace) {
    if (!directory) {
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
        if (!warned.test_and_set()) {
            log(LogLevel::warning,
                fmt::format(
                    "cache: compiled kernels cannot be kept, each process will compile anew: {}",
                    error.what()));
        }
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
    registry.add(want, entry);
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
    if (auto entry = implementation_->registry.find(want, lookup)) {
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
        if (auto entry = self.registry.find(want, lookup)) {
            ++self.counters.memory_hits;
            return {std::move(entry), Origin::memory, {}};
        }
        std::promise<std::shared_ptr<const Entry>> promise;
        if (const auto flight = self.flights.join(key, promise); flight.valid()) {
            ++self.counters.shared_waits;
            const std::shared_ptr<const Entry>& entry =
                flight.get();  // throws what the builder threw
            if (accepts(lookup, entry->manifest)) {
                return {entry, Origin::memory, {}};
            }
            continue;  // another caller's entry is of no use here: fly oneself
        }
        try {
            // Between the look above and taking off, another flight may have landed.
            Result result{self.registry.find(want, lookup), Origin::memory, {}};
            if (result.entry) {
                ++self.counters.memory_hits;
            } else {
                result = self.find_in_directory(lookup, want);
            }
            if (!result.entry) {
                ++self.counters.misses;
                result = self.compile(lookup, want, build, false);
            }
            self.flights.land(key);
            promise.set_value(result.entry);
            return result;
        } catch (...) {
            // First the slot, then the waiters: whoever is woken by the failure and calls again
            // finds it free.
            self.flights.land(key);
            promise.set_exception(std::current_exception());
            throw;
        }
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
    return to;
}

const std::shared_ptr<Cache>& process_cache() {
    // Never destroyed: threads may use it while the process ends.
    static const auto& instance = *new std::shared_ptr<Cache>(std::make_shared<Cache>());
    return instance;
}

}  // namespace opforge::cache
