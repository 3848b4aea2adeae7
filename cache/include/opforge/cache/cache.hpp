// The cache as the builder uses it: a request in, verified bytes out, each compiled at most once in
// this process. Any thread. Knows nothing of CUDA: a manifest maps to bytes.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/cache/cache_root.hpp>
#include <opforge/cache/directory_store.hpp>
#include <opforge/cache/layers.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace opforge::cache {

enum class Policy {
    exact,       // only what the toolchain in use made
    compatible,  // any toolchain's entry that the caller accepts, newest first
    offline,     // as compatible, and nothing is ever compiled
};
[[nodiscard]] OPFORGE_API std::string_view to_string(Policy policy) noexcept;
/// @throws InvalidArgument for any text but "exact", "compatible", "offline".
[[nodiscard]] OPFORGE_API Policy parse_policy(std::string_view text);

enum class Origin { memory, user_directory, compiled, layer };
[[nodiscard]] OPFORGE_API std::string_view to_string(Origin origin) noexcept;

struct Counters {
    std::uint64_t memory_hits = 0;
    std::uint64_t directory_hits = 0;  // the user's directory
    std::uint64_t layer_hits = 0;      // read-only layers
    std::uint64_t layers_skipped = 0;  // missing, foreign or broken, each once
    std::uint64_t misses = 0;
    std::uint64_t compiles = 0;
    std::uint64_t failed_compiles = 0;
    std::uint64_t shared_waits = 0;  // callers that waited for another thread's lookup or compile
    std::uint64_t published = 0;
    std::uint64_t publish_failures = 0;
    std::uint64_t quarantined = 0;
    std::uint64_t refused = 0;  // entries seen and not served
    std::uint64_t evicted = 0;  // entries that went to keep the directory within its limits
    // Waits for other processes that compiled the same key:
    std::uint64_t lock_waits = 0;        // the lock was not free at once
    std::uint64_t lock_hits = 0;         // and what the other one compiled served
    std::uint64_t lock_timeouts = 0;     // its time was up: compiled without the lock
    std::uint64_t lock_unavailable = 0;  // no lock could be had: compiled without
    std::uint64_t lock_wait_milliseconds = 0;
};

/// One place that was asked for entries.
struct LayerStatistics {
    Origin kind = Origin::layer;  // or user_directory
    std::filesystem::path path;
    bool sealed = false;
    std::string fault;  // why it is passed over; empty: it serves, or was not needed yet
    std::uint64_t hits = 0;
    std::uint64_t absent = 0;                        // lookups that found no entry at all
    std::array<std::uint64_t, kRefusals> refused{};  // entries not served, by Refusal
    std::uint64_t quarantined = 0;
};

/// What a cache did since it was made, in this process. Nothing of it is kept on the disk.
struct Statistics {
    Counters counters;
    std::vector<LayerStatistics> layers;  // in the order they are asked, the user's own last
    std::map<std::string, std::uint64_t> publish_failures;  // by cause: "No space left on device"
};

/// A wait for another process that compiles the same key.
struct LockWait {
    std::string program;
    std::filesystem::path lock;
    std::string holder;  // as it says of itself; empty where it does not
    std::chrono::milliseconds waited;
    std::chrono::milliseconds limit;  // then the compile is made without the lock
};

struct Lookup {
    Request request;
    std::optional<Toolchain> toolchain;  // the one that would compile; nullopt where none is known
    Policy policy = Policy::exact;       // exact without a toolchain finds nothing
    Acceptable acceptable;               // empty: everything
    /// For sealed layers, which say themselves what they hold; nullopt: `policy`.
    std::optional<Policy> sealed_policy = std::nullopt;
};

/// What a compile gives. The cache fills in nothing: manifest.artifact must match `artifact`.
struct Built {
    Manifest manifest;
    Bytes artifact;
};

struct Result {
    std::shared_ptr<const Entry> entry;  // null: a miss
    Origin origin = Origin::memory;
    std::string reason;  // for a miss: what was found instead
};

struct CacheOptions {
    std::optional<std::filesystem::path> directory;  // overrides root selection
    bool memory_only = false;
    /// Read-only places to look in before the directory. Default: OPFORGE_LAYERS.
    std::optional<std::vector<LayerSpec>> layers = std::nullopt;
    std::optional<Limits> limits = std::nullopt;  // default: OPFORGE_CACHE_MAX_SIZE, else Limits()
    /// Overrides how long to wait for another process's compile. Default: ten times what the
    /// manifests record, from 10 to 120 seconds; 120 seconds where none does.
    std::optional<std::chrono::milliseconds> lock_limit = std::nullopt;
    /// Called after two seconds of waiting, in place of a warning.
    std::function<void(const LockWait&)> on_wait = nullptr;
};

class OPFORGE_API Cache {
public:
    explicit Cache(const CacheOptions& options = {}, FileSystem& files = posix_file_system());
    ~Cache();
    Cache(const Cache&) = delete;
    Cache& operator=(const Cache&) = delete;

    [[nodiscard]] const CacheRoot& root() const noexcept;

    /// Memory, then the layers, then the directory. Never compiles.
    [[nodiscard]] Result find(const Lookup& lookup);

    /// As find; on a miss calls `build` once for each key, publishes, and keeps the bytes in
    /// memory. Other threads wait and get its result or its exception; other processes wait for a
    /// limited time and find what was published. Whatever `build` throws passes through and frees
    /// the slot. The caller checks the policy: `offline` here still never calls `build` and gives a
    /// null entry.
    [[nodiscard]] Result find_or_build(const Lookup& lookup, const std::function<Built()>& build);

    /// Compiles even where an entry would serve, and replaces it in memory and in the directory.
    /// `offline` never calls `build` and gives a null entry.
    [[nodiscard]] Result rebuild(const Lookup& lookup, const std::function<Built()>& build);

    /// Moves an entry that cannot be used to quarantine; false where it is not in the user's
    /// directory. @throws CacheError where the disk refuses.
    bool quarantine(const Entry& entry);

    [[nodiscard]] Counters counters() const noexcept;
    [[nodiscard]] Statistics statistics() const;
    /// The read-only layers, in the order they are asked. What they hold: look_into().
    [[nodiscard]] std::vector<LayerSpec> layers() const;
    /// The user's directory; null where the cache is memory only.
    [[nodiscard]] DirectoryStore* directory() noexcept;

private:
    struct Implementation;
    std::unique_ptr<Implementation> implementation_;
};

/// The process's cache, made from the environment on first use and never destroyed.
[[nodiscard]] OPFORGE_API const std::shared_ptr<Cache>& process_cache();

}  // namespace opforge::cache
