// One directory of entries on disk: verified reads, atomic publishing, quarantine.
// Any thread and any process may use the same directory at once; correctness rests on renames, not
// on locks.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/base/bytes.hpp>
#include <opforge/cache/file_system.hpp>
#include <opforge/cache/limits.hpp>
#include <opforge/cache/manifest.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::cache {

/// A verified entry: `artifact` hashes to what `manifest` says. Immutable once made.
struct Entry {
    Manifest manifest;
    Bytes artifact;
    std::filesystem::path directory;  // empty where it lives in memory only
    bool sealed = false;              // a sealed layer's: serves whatever toolchain made it
};

/// Why an entry was not served. Stable ids, only ever added to.
enum class Refusal {
    absent,        // no such entry
    unreadable,    // an I/O error
    insecure,      // owner, mode, link or file type
    malformed,     // manifest: size, JSON, canonical form, seal
    wrong_digest,  // manifest's inputs or artifact do not hash to what they should
    wrong_target,  // another program's, target's or schema's entry under this name
    unacceptable,  // sound, but the caller cannot use it (driver too old)
};
inline constexpr std::size_t kRefusals = 7;
[[nodiscard]] OPFORGE_API std::string_view to_string(Refusal refusal) noexcept;

struct Listed {
    std::string name;  // "<want>.<toolchain>"
    std::filesystem::path directory;
    std::optional<Manifest> manifest;   // nullopt: refused
    Refusal refusal = Refusal::absent;  // where refused
    std::string reason;                 // and why
    int error = 0;                      // the errno, where the file system refused
    std::uint64_t size_bytes = 0;
    std::int64_t modified_nanoseconds = 0;
};

using Acceptable = std::function<bool(const Manifest&)>;

struct StoreOptions {
    bool read_only = false;  // a layer: nothing is moved, stamped or published
    bool shared = false;     // the user trusts whoever owns it, and that owner's group
    Limits limits = {};
    /// Of a sealed layer: why an entry, by its name and its manifest's file, is not what was
    /// sealed; empty: it is.
    std::function<std::string(const std::string& name, std::span<const std::byte> manifest_file,
                              const Manifest& manifest)>
        vouch = nullptr;
};

/// Number and bytes (manifests and artifacts) of entries.
struct Tally {
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
};

/// What a prune or a clear removed, or, in a dry run, would have.
struct Removal {
    Tally removed;                  // the cap's, the old schemas' and, of a clear, all
    Tally kept;                     // what is left
    std::uint64_t staging = 0;      // abandoned staging folders and notes
    std::uint64_t quarantined = 0;  // entries in quarantine; a prune leaves them
    std::uint64_t old_layouts = 0;  // folders of older versions of opforge
};

/// What a store holds beside its entries, and where it lies.
struct Leftovers {
    std::uint64_t quarantined = 0;
    std::uint64_t staging = 0;        // also what processes are at work on
    std::string network_file_system;  // "NFS", ...; empty: a local one
};

/// How a lookup goes about a network file system.
enum class Lateness {
    trusted,   // what is not there is absent
    expected,  // another process has just published: looks again within 200 ms
};

class OPFORGE_API DirectoryStore {
public:
    /// Nothing is opened or created before the first use.
    explicit DirectoryStore(std::filesystem::path root, FileSystem& files = posix_file_system(),
                            StoreOptions options = {});
    ~DirectoryStore();
    DirectoryStore(const DirectoryStore&) = delete;
    DirectoryStore& operator=(const DirectoryStore&) = delete;

    [[nodiscard]] const std::filesystem::path& root() const noexcept;
    [[nodiscard]] const StoreOptions& options() const noexcept;

    struct Found {
        std::shared_ptr<const Entry> entry;  // null: `refusal` says why
        Refusal refusal = Refusal::absent;
        std::string reason;
        unsigned refused = 0;  // entries seen and not served, of any refusal but `absent`
        std::array<unsigned, kRefusals> refused_by{};  // the same by refusal
        unsigned quarantined = 0;  // those of them that were moved to quarantine
    };
    /// The entry that `toolchain` made. A bad one is moved to quarantine. Never throws for what is
    /// on the disk.
    [[nodiscard]] Found find(const Request& request, const Toolchain& toolchain,
                             const Acceptable& acceptable);
    /// The same for a caller that has the request's want digest.
    [[nodiscard]] Found find(const Request& request, const Digest& want, const Toolchain& toolchain,
                             const Acceptable& acceptable, Lateness lateness = Lateness::trusted);
    /// Any toolchain's entry for the request, newest toolchain first.
    [[nodiscard]] Found find_any(const Request& request, const Acceptable& acceptable,
                                 Lateness lateness = Lateness::trusted);

    /// The longest compile that any entry for this want digest records; nullopt where none does.
    [[nodiscard]] std::optional<std::chrono::microseconds>
    recorded_compile_time(const Digest& want) noexcept;

    /// Writes and publishes by one rename, fsynced. Losing the race to a sound entry of this name
    /// is success. Then the least recently used entries go until the store is within its limits.
    /// @throws CacheError where the disk refuses, InvalidArgument where the manifest does not fit
    /// the artifact.
    std::filesystem::path publish(const Manifest& manifest, std::span<const std::byte> artifact);

    /// As publish, and an entry that is already there gives way: a reader sees the old one, none,
    /// or the new one.
    /// @throws CacheError where the disk refuses; the old entry is then put back as far as
    /// possible.
    std::filesystem::path replace(const Manifest& manifest, std::span<const std::byte> artifact);

    /// Moves the entry's folder to quarantine (the last 16 are kept). False where it was already
    /// gone. @throws CacheError where the disk refuses, InvalidArgument for what names no entry.
    bool quarantine(const std::string& name);

    /// All entries, by name; with `deep`, artifacts are hashed too. @throws CacheError where the
    /// root is unreadable.
    [[nodiscard]] std::vector<Listed> list(bool deep);

    /// Removes staging folders older than an hour, and folders of older layouts.
    void sweep();

    /// Evicts down to the limits (the store's own where none are given), removes entries of older
    /// schemas, and sweeps. A dry run changes nothing and gives the numbers of the real one.
    /// @throws CacheError where the disk refuses.
    Removal prune(bool dry_run, const std::optional<Limits>& limits = std::nullopt);
    /// Removes every entry, sound or not, and the quarantine. What processes are about to publish
    /// stays. @throws CacheError
    Removal clear(bool dry_run);
    /// Never throws for what is on the disk.
    [[nodiscard]] Leftovers leftovers();
    /// What publishing has evicted so far.
    [[nodiscard]] Tally evicted() const noexcept;

private:
    struct Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace opforge::cache
