// The cache as the builder uses it: a request in, verified bytes out, each compiled at most once in
// this process. Any thread. Knows nothing of CUDA: a manifest maps to bytes.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/cache/cache_root.hpp>
#include <opforge/cache/directory_store.hpp>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace opforge::cache {

enum class Policy {
    exact,       // only what the toolchain in use made
    compatible,  // any toolchain's entry that the caller accepts, newest first
    offline,     // as compatible, and nothing is ever compiled
};
[[nodiscard]] OPFORGE_API std::string_view to_string(Policy policy) noexcept;
/// @throws InvalidArgument for any text but "exact", "compatible", "offline".
[[nodiscard]] OPFORGE_API Policy parse_policy(std::string_view text);

enum class Origin { memory, user_directory, compiled };
[[nodiscard]] OPFORGE_API std::string_view to_string(Origin origin) noexcept;

struct Counters {
    std::uint64_t memory_hits = 0;
    std::uint64_t directory_hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t compiles = 0;
    std::uint64_t failed_compiles = 0;
    std::uint64_t shared_waits = 0;  // callers that waited for another thread's lookup or compile
    std::uint64_t published = 0;
    std::uint64_t publish_failures = 0;
    std::uint64_t quarantined = 0;
    std::uint64_t refused = 0;  // entries seen and not served
};

struct Lookup {
    Request request;
    std::optional<Toolchain> toolchain;  // the one that would compile; nullopt where none is known
    Policy policy = Policy::exact;       // exact without a toolchain finds nothing
    Acceptable acceptable;               // empty: everything
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
};

class OPFORGE_API Cache {
public:
    explicit Cache(const CacheOptions& options = {}, FileSystem& files = posix_file_system());
    ~Cache();
    Cache(const Cache&) = delete;
    Cache& operator=(const Cache&) = delete;

    [[nodiscard]] const CacheRoot& root() const noexcept;

    /// Memory, then the directory. Never compiles.
    [[nodiscard]] Result find(const Lookup& lookup);

    /// As find; on a miss calls `build` once a process for each key (others wait and get its result
    /// or its exception), publishes, and keeps the bytes in memory. Whatever `build` throws passes
    /// through and frees the slot. The caller checks the policy: `offline` here still never calls
    /// `build` and gives a null entry.
    [[nodiscard]] Result find_or_build(const Lookup& lookup, const std::function<Built()>& build);

    /// Compiles even where an entry would serve, and replaces it in memory and in the directory.
    /// `offline` never calls `build` and gives a null entry.
    [[nodiscard]] Result rebuild(const Lookup& lookup, const std::function<Built()>& build);

    [[nodiscard]] Counters counters() const noexcept;
    /// The user's directory; null where the cache is memory only.
    [[nodiscard]] DirectoryStore* directory() noexcept;

private:
    struct Implementation;
    std::unique_ptr<Implementation> implementation_;
};

/// The process's cache, made from the environment on first use and never destroyed.
[[nodiscard]] OPFORGE_API const std::shared_ptr<Cache>& process_cache();

}  // namespace opforge::cache
