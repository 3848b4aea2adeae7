// One directory of entries on disk: verified reads, atomic publishing, quarantine.
// Any thread and any process may use the same directory at once; correctness rests on renames, not
// on locks.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/base/bytes.hpp>
#include <opforge/cache/file_system.hpp>
#include <opforge/cache/manifest.hpp>

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
[[nodiscard]] OPFORGE_API std::string_view to_string(Refusal refusal) noexcept;

struct Listed {
    std::string name;  // "<want>.<toolchain>"
    std::filesystem::path directory;
    std::optional<Manifest> manifest;  // nullopt: refused, `reason` says why
    std::string reason;
    std::uint64_t size_bytes = 0;
    std::int64_t modified_nanoseconds = 0;
};

using Acceptable = std::function<bool(const Manifest&)>;

class OPFORGE_API DirectoryStore {
public:
    /// Nothing is opened or created before the first use.
    explicit DirectoryStore(std::filesystem::path root, FileSystem& files = posix_file_system());
    ~DirectoryStore();
    DirectoryStore(const DirectoryStore&) = delete;
    DirectoryStore& operator=(const DirectoryStore&) = delete;

    [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }

    struct Found {
        std::shared_ptr<const Entry> entry;  // null: `refusal` says why
        Refusal refusal = Refusal::absent;
        std::string reason;
        unsigned refused = 0;      // entries seen and not served, of any refusal but `absent`
        unsigned quarantined = 0;  // those of them that were moved to quarantine
    };
    /// The entry that `toolchain` made. A bad one is moved to quarantine. Never throws for what is
    /// on the disk.
    [[nodiscard]] Found find(const Request& request, const Toolchain& toolchain,
                             const Acceptable& acceptable);
    /// The same for a caller that has the request's want digest.
    [[nodiscard]] Found find(const Request& request, const Digest& want, const Toolchain& toolchain,
                             const Acceptable& acceptable);
    /// Any toolchain's entry for the request, newest toolchain first.
    [[nodiscard]] Found find_any(const Request& request, const Acceptable& acceptable);

    /// Writes and publishes by one rename, fsynced. Losing the race to a sound entry of this name
    /// is success.
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

    /// Removes staging folders older than an hour.
    void sweep();

private:
    struct Implementation;
    std::filesystem::path root_;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace opforge::cache
