// Where the lock file of a cache lies. Private.
#pragma once

#include "key_lock.hpp"
#include "secure_directory.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace opforge::cache {

/// "lock" in the version's folder. Where that is on a network file system, whose locks may be
/// missing, slow, or lost without a word: a file in a folder of this machine's own, by the device
/// and inode of the version's folder. One compile per machine is then what it gives.
/// @throws CacheError
[[nodiscard]] LockPlace lock_place(FileSystem& files, SecureDirectory version);

struct NodeLocalPlace {
    std::filesystem::path parent;
    std::string folder;
    bool shared_with_others = false;  // the parent is; the folder is the user's own
};
/// "$XDG_RUNTIME_DIR/opforge", "/var/tmp/opforge-<uid>", "/tmp/opforge-<uid>": the first that can
/// be used and is local serves.
[[nodiscard]] std::vector<NodeLocalPlace> node_local_places();

}  // namespace opforge::cache
