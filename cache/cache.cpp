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

using SharedEntry = std::shared_ptr<const Entry>;

// Verified entries by want digest, newest toolchain first. Guarded by the cache's mutex.
class Registry {
public:
    void add(const Digest& want, SharedEntry entry) {
        auto& all = entries_[want];
        std::erase_if(all, [&](const SharedEntry& old) {
            return old->manifest.toolchain == entry->manifest.toolchain;
        });
        const auto not_newer = [&](const SharedEntry& other) {
            return version(*other) <= version(*entry);
        };
        all.insert(std::find_if(all.begin(), all.end(), not_newer), std::move(entry));
    }

    [[nodiscard]] SharedEntry find(const Digest& want, const Lookup& lookup) const {
        const auto found = entries_.find(want);
        if (found == entries_.end()) {
            return nullptr;
        }
        for (const SharedEntry& entry : found->second) {
            const bool of_policy =
                lookup.policy != Policy::exact ||
                (lookup.toolchain && entry->manifest.toolchain == *lookup.toolchain);
            if (of_policy && (!lookup.acceptable || lookup.acceptable(entry->manifest))) {
                return entry;
            }
        }
        return nullptr;
    }

private:
    static std::pair<int, int> version(const Entry& entry) {
        return {entry.manifest.toolchain.major, entry.manifest.toolchain.minor};
    }
    std::map<Digest, std::vector<SharedEntry>> entries_;
};

// One compile at a time for each key. Callers that share a key but not a toolchain do not share a
// compile.
Digest slot_key(const Lookup& lookup, const Digest& want) {
    return lookup.toolchain ? full_digest(lookup.request, *lookup.toolchain) : want;
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
    for (const Policy policy : kPolicies) {
        if (to_string(policy) == text) {
            return policy;
        }
    }
    throw InvalidArgument(
        fmt::format("cache policy \"{}\" is not known; choose exact, compatible or offline", text));
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
    CacheRoot root;
    std::unique_ptr<DirectoryStore> store;  // null: memory only
    mutable std::mutex mutex;  // guards the four below; never held during I/O or a compile
    Registry registry;
    std::map<Digest, std::shared_future<SharedEntry>> in_flight;
    Counters counters;
    bool warned = false;

    Result find(const Lookup& lookup, const Digest& want) {
        {
            const std::lock_guard lock(mutex);
            if (SharedEntry entry = registry.find(want, lookup)) {
                ++counters.memory_hits;
                return {std::move(entry), Origin::memory, {}};
            }
        }
        Result result;
        if (lookup.policy == Policy::exact && !lookup.toolchain) {
            result.reason =
                "policy exact, and no toolchain is known that an entry could be exact for";
        } else if (store) {
            DirectoryStore::Found found =
                lookup.policy == Policy::exact
                    ? store->find(lookup.request, *lookup.toolchain, lookup.acceptable)
                    : store->find_any(lookup.request, lookup.acceptable);
            const std::lock_guard lock(mutex);
            counters.refused += found.refused;
            counters.quarantined += found.quarantined;
            if (found.entry) {
                ++counters.directory_hits;
                registry.add(want, found.entry);
                return {std::move(found.entry), Origin::user_directory, {}};
            }
            result.reason = std::move(found.reason);
        } else {
            result.reason = "the cache is in memory only";
        }
        const std::lock_guard lock(mutex);
        ++counters.misses;
        return result;
    }

    // Publishing is for other processes and later runs: whatever goes wrong with it, this caller
    // has its bytes.
    std::filesystem::path publish(const Manifest& manifest, std::span<const std::byte> artifact,
                                  bool replace) {
        if (!store) {
            return {};
        }
        try {
            std::filesystem::path directory =
                replace ? store->replace(manifest, artifact) : store->publish(manifest, artifact);
            const std::lock_guard lock(mutex);
            ++counters.published;
            return directory;
        } catch (const Error& error) {
            bool warn = false;
            {
                const std::lock_guard lock(mutex);
                ++counters.publish_failures;
                warn = !std::exchange(warned, true);
            }
            if (warn) {
                log(LogLevel::warning,
                    fmt::format("{}; going on from memory, so the next process compiles again",
                                error.what()));
            }
            return {};
        }
    }

    SharedEntry build_entry(const Digest& want, const std::function<Built()>& build, bool replace) {
        {
            const std::lock_guard lock(mutex);
            ++counters.compiles;
        }
        auto entry = std::make_shared<Entry>();
        try {
            Built built = build();
            entry->manifest = std::move(built.manifest);
            entry->artifact = std::move(built.artifact);
        } catch (...) {
            const std::lock_guard lock(mutex);
            ++counters.failed_compiles;
            throw;
        }
        entry->directory = publish(entry->manifest, entry->artifact, replace);
        const std::lock_guard lock(mutex);
        registry.add(want, entry);
        return entry;
    }
};

Cache::Cache(const CacheOptions& options, FileSystem& files) : implementation_(new Implementation) {
    if (options.memory_only) {
        implementation_->root.origin = "none";
        return;
    }
    implementation_->root = select_root(options.directory);
    if (!implementation_->root.path.empty()) {
        implementation_->store =
            std::make_unique<DirectoryStore>(implementation_->root.path, files);
        return;
    }
    std::string reasons;
    for (const std::string& refusal : implementation_->root.refusals) {
        reasons += "; " + refusal;
    }
    log(LogLevel::warning, fmt::format("cache: no directory to keep compiled kernels in, every "
                                       "process compiles its own{}; set "
                                       "OPFORGE_CACHE_DIR to a directory of yours",
                                       reasons));
}

Cache::~Cache() = default;

const CacheRoot& Cache::root() const noexcept {
    return implementation_->root;
}

Result Cache::find(const Lookup& lookup) {
    return implementation_->find(lookup, want_digest(lookup.request));
}

Result Cache::find_or_build(const Lookup& lookup, const std::function<Built()>& build) {
    Implementation& self = *implementation_;
    const Digest want = want_digest(lookup.request);
    if (Result found = self.find(lookup, want); found.entry || lookup.policy == Policy::offline) {
        return found;
    }
    const Digest key = slot_key(lookup, want);
    std::promise<SharedEntry> promise;
    std::shared_future<SharedEntry> others;
    {
        const std::lock_guard lock(self.mutex);
        // Again: another thread may have finished between the look above and this lock.
        if (SharedEntry entry = self.registry.find(want, lookup)) {
            ++self.counters.memory_hits;
            return {std::move(entry), Origin::memory, {}};
        }
        const auto [slot, mine] = self.in_flight.try_emplace(key);
        if (mine) {
            slot->second = promise.get_future().share();
        } else {
            others = slot->second;
            ++self.counters.shared_waits;
        }
    }
    if (others.valid()) {
        return {others.get(), Origin::memory, {}};
    }
    // The slot is freed before the result is handed out: whoever comes after a failure compiles
    // anew.
    const auto free_slot = [&] {
        const std::lock_guard lock(self.mutex);
        self.in_flight.erase(key);
    };
    try {
        SharedEntry entry = self.build_entry(want, build, false);
        free_slot();
        promise.set_value(entry);
        return {std::move(entry), Origin::compiled, {}};
    } catch (...) {
        free_slot();
        promise.set_exception(std::current_exception());
        throw;
    }
}

Result Cache::rebuild(const Lookup& lookup, const std::function<Built()>& build) {
    return {implementation_->build_entry(want_digest(lookup.request), build, true),
            Origin::compiled,
            {}};
}

Counters Cache::counters() const noexcept {
    const std::lock_guard lock(implementation_->mutex);
    return implementation_->counters;
}

DirectoryStore* Cache::directory() noexcept {
    return implementation_->store.get();
}

const std::shared_ptr<Cache>& process_cache() {
    static const std::shared_ptr<Cache>& instance =
        *new std::shared_ptr<Cache>(std::make_shared<Cache>());
    return instance;
}

}  // namespace opforge::cache
