// Reads one entry and believes none of it: owners, modes, the manifest's seal and digests, the
// artifact's digest. Private.
#pragma once

#include "secure_directory.hpp"

#include <opforge/cache/manifest.hpp>

#include <filesystem>
#include <string>

namespace opforge::cache {

struct ReadManifest {
    Manifest manifest;
    OpenFile file;
    Bytes bytes;  // of the file
};

class EntryReader {
public:
    /// The entry's place below a store's root, every directory on the way checked.
    /// @throws CacheError; its code is ENOENT where there is no such entry.
    [[nodiscard]] static EntryReader below_root(const SecureDirectory& root,
                                                const std::string& entry_name);
    /// In a shard that is open. `base` must outlive the reader.
    [[nodiscard]] static EntryReader in_shard(const SecureDirectory& shard,
                                              const std::string& entry_name);

    /// Of an entry whose folder is open, and so stays what it is. `entry` must outlive the reader.
    [[nodiscard]] static EntryReader held(const SecureDirectory& entry,
                                          const std::string& entry_name);

    [[nodiscard]] std::filesystem::path path() const { return base_.path() / relative_; }

    /// All of these @throw ManifestFault for what is wrong with the entry, CacheError for what is
    /// wrong with the file system (ENOENT: the entry is gone since).
    [[nodiscard]] ReadManifest manifest() const;
    [[nodiscard]] OpenFile open_artifact(const Manifest& manifest) const;
    [[nodiscard]] Bytes artifact(const Manifest& manifest) const;

private:
    EntryReader(const SecureDirectory& base, std::string relative, std::string name);
    [[nodiscard]] OpenFile open_part(const std::string& file) const;

    const SecureDirectory& base_;
    std::string relative_;
    std::string name_;
    FileStatus status_;
};

/// @throws ManifestFault unless the manifest's inputs are those asked for
void check_identity(const Manifest& manifest, const Request& wanted,
                    const std::filesystem::path& path);

}  // namespace opforge::cache
