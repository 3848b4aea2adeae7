#include "compile_locks.hpp"
#include "disk_layers.hpp"
#include "flights.hpp"
#include "memory_layer.hpp"
#include "statistics.hpp"
#include "warnings.hpp"

#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/base/process_object.hpp>
#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <utility>

namespace opforge::cache {
namespace {

CacheRoot root_of(const CacheOptions& options) {
    if (options.memory_only) {
        return {{}, "none", {}};
    }
    // Where the caller says where, the process's environment is not asked.
    return options.directory ? select_root(options.directory, {}) : select_root({});
}

}  // namespace

struct Cache::Implementation {
    Implementation(const CacheOptions& given, FileSystem& files)
        : options(given), root(root_of(options)), disk(options, root, files, memory, counters),
          locks(options, files, disk, counters, warnings) {}

    CacheOptions options;
    CacheRoot root;
    MemoryLayer memory;
    Flights flights;
    AtomicCounters counters;
    FailuresByCause publish_failures;
    Warnings warnings;
    DiskLayers disk;
    CompileLocks locks;
    std::atomic_flag swept;

    [[nodiscard]] Result fly(const Lookup& lookup, const Digest& want,
                             const std::function<Built()>& build);
    [[nodiscard]] Result compile(const Lookup& lookup, const Digest& want,
                                 const std::function<Built()>& build, bool replace);
    [[nodiscard]] std::filesystem::path keep(const Built& built, bool replace);
    void warn_of_no_directory();
};

// What a miss comes to: at most one compile of a key at a time on this machine.
Result Cache::Implementation::fly(const Lookup& lookup, const Digest& want,
                                  const std::function<Built()>& build) {
    // Between the caller's look and taking off, another flight may have landed.
    Result result{memory.find(want, lookup), Origin::memory, {}};
    if (result.entry) {
        ++counters.memory_hits;
        return result;
    }
    result = disk.find(lookup, want);
    if (result.entry) {
        return result;
    }
    std::string lock_fault;
    const auto lock = locks.acquire(lookup, want, lock_fault);
    if (lock) {
        result = disk.find_under_lock(lookup, want);
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
    DirectoryStore* const directory = disk.directory();
    if (directory == nullptr) {
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
        publish_failures.add(refused == nullptr ? error.what() : refused->code().message());
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

std::vector<LayerSpec> Cache::layers() const {
    return implementation_->disk.layers();
}

DirectoryStore* Cache::directory() noexcept {
    return implementation_->disk.directory();
}

Result Cache::find(const Lookup& lookup) {
    const Digest want = want_digest(lookup.request);
    if (auto entry = implementation_->memory.find(want, lookup)) {
        ++implementation_->counters.memory_hits;
        return {std::move(entry), Origin::memory, {}};
    }
    Result result = implementation_->disk.find(lookup, want);
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

bool Cache::quarantine(const Entry& entry) {
    DirectoryStore* const directory = implementation_->disk.directory();
    const std::filesystem::path& place = entry.directory;
    // <root>/v1/entries/<2 hex>/<name>
    const bool ours =
        directory != nullptr &&
        place.parent_path().parent_path().parent_path().parent_path() == directory->root();
    return ours && directory->quarantine(place.filename().string());
}

Counters Cache::counters() const noexcept {
    Counters values = implementation_->counters.values();
    if (const DirectoryStore* const directory = implementation_->disk.directory()) {
        values.evicted = directory->evicted().entries;
    }
    return values;
}

Statistics Cache::statistics() const {
    return {counters(), implementation_->disk.statistics(),
            implementation_->publish_failures.values()};
}

const std::shared_ptr<Cache>& process_cache() {
    // Threads may use it while the process ends.
    static constinit ProcessObject<std::shared_ptr<Cache>> instance;
    return instance.get(
        [] { return std::make_unique<std::shared_ptr<Cache>>(std::make_shared<Cache>()); });
}

}  // namespace opforge::cache
