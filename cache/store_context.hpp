// What the parts of a DirectoryStore share: where it is, whom it trusts, and the way down. Private.
#pragma once

#include "secure_directory.hpp"
#include "store_layout.hpp"

#include <opforge/cache/directory_store.hpp>

#include <atomic>
#include <filesystem>
#include <string>
#include <string_view>

namespace opforge::cache {

struct StoreContext {
    FileSystem& files;
    std::filesystem::path root;
    StoreOptions options;
    std::atomic<std::uint64_t> counter{0};

    [[nodiscard]] Trust trust() const noexcept {
        return options.shared ? Trust::shared : Trust::own;
    }
    // Every lookup opens the way down anew: a descriptor kept open would go on serving a root that
    // was removed or replaced, would skip the checks that each open makes, and could be closed by
    // a host that turns itself into a daemon.
    [[nodiscard]] SecureDirectory open_root() const {
        return SecureDirectory::open_root(files, root, trust());
    }
    [[nodiscard]] SecureDirectory open_version() const { return open_root().open(kVersionFolder); }
    [[nodiscard]] SecureDirectory open_shard(std::string_view entry_name) const {
        return open_version().open(kEntriesFolder).open(shard_of(entry_name));
    }
    /// Unique on this machine (pid, counter) and, for a shared disk, elsewhere (random).
    [[nodiscard]] std::string unique_name();
};

[[nodiscard]] inline bool same_file(const FileStatus& a, const FileStatus& b) {
    return a.device == b.device && a.inode == b.inode;
}

/// A directory that its owner took the write bit from is sealed: nothing is moved, touched or
/// published in it, also by root, whom modes do not stop.
[[nodiscard]] inline bool is_writable(const FileStatus& status) {
    return (status.mode & 0200U) != 0;
}

}  // namespace opforge::cache
