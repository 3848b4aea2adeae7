#include "lock_place.hpp"

#include "network_file_system.hpp"
#include "shared_place.hpp"
#include "store_layout.hpp"

#include <opforge/base/environment.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <unistd.h>
#include <utility>

namespace opforge::cache {
namespace {

constexpr const char* kLocksFolder = "locks";

// A folder of this user's on this machine, judged as a root is.
SecureDirectory open_node_local(FileSystem& files, const NodeLocalPlace& place) {
    if (!place.shared_with_others) {
        return SecureDirectory::open_root(files, place.parent).open_or_create(place.folder);
    }
    const std::filesystem::path path = place.parent / place.folder;
    if (const std::string fault = shared_place_fault(place.parent, path, ::geteuid());
        !fault.empty()) {
        throw InsecureError("use", path, {EPERM, std::generic_category()}, fault);
    }
    return SecureDirectory::open_or_create_root(files, path);
}

LockPlace node_local_lock_place(FileSystem& files, const SecureDirectory& version) {
    std::string refusals;
    for (const NodeLocalPlace& place : node_local_places()) {
        try {
            const SecureDirectory root = open_node_local(files, place);
            if (is_on_network(files, root)) {
                refusals += fmt::format("; {} is on a network file system", root.path().string());
                continue;
            }
            const std::string name =
                fmt::format("{:x}-{:x}", version.status().device, version.status().inode);
            return {root.open_or_create(kLocksFolder), name + ".lock",
                    root.open_or_create(kLocksFolder), name + "."};
        } catch (const CacheError& error) {
            refusals += fmt::format("; {}", error.what());
        }
    }
    throw CacheError("lock", version.path(), {ENOLCK, std::generic_category()},
                     "it is on a network file system, and no local place serves for the lock: set "
                     "XDG_RUNTIME_DIR" +
                         refusals);
}

}  // namespace

std::vector<NodeLocalPlace> node_local_places() {
    std::vector<NodeLocalPlace> places;
    if (const auto runtime = environment("XDG_RUNTIME_DIR")) {
        const std::filesystem::path path(*runtime);
        if (path.is_absolute()) {
            places.push_back({path.lexically_normal(), "opforge", false});
        }
    }
    const std::string own = fmt::format("opforge-{}", ::geteuid());
    places.push_back({"/var/tmp", own, true});
    places.push_back({"/tmp", own, true});
    return places;
}

LockPlace lock_place(FileSystem& files, SecureDirectory version) {
    if (is_on_network(files, version)) {
        return node_local_lock_place(files, version);
    }
    SecureDirectory notes = version.open_or_create(kStagingFolder);
    return {std::move(version), kLockFile, std::move(notes), {}};
}

}  // namespace opforge::cache
