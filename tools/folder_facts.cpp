#include "folder_facts.hpp"

#include <opforge/cache/file_system.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <pwd.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace opforge::tools {
namespace {

struct LocalFileSystem {
    std::int64_t magic;
    const char* name;
    bool memory;
};

// As statfs(2) and linux/magic.h have them; those of networks are the cache's to know.
constexpr std::array<LocalFileSystem, 10> kLocal = {{
    {0xEF53, "ext4", false},
    {0x58465342, "xfs", false},
    {0x9123683E, "btrfs", false},
    {0x2FC12FC1, "zfs", false},
    {0xF2F52010, "f2fs", false},
    {0x794C7630, "overlay", false},
    {0x73717368, "squashfs", false},
    {0xE0F5E1E2, "erofs", false},
    {0x01021994, "tmpfs", true},
    {0x858458F6, "ramfs", true},
}};

std::string name_of(unsigned user) {
    std::vector<char> buffer(4096);
    passwd entry{};
    passwd* found = nullptr;
    return ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr
               ? found->pw_name
               : "";
}

void add_file_system(FolderFacts& facts) {
    struct statfs kind {};
    if (::statfs(facts.present.c_str(), &kind) != 0) {
        return;
    }
    const auto magic = static_cast<std::int64_t>(static_cast<std::uint32_t>(kind.f_type));
    const auto* const local = std::find_if(kLocal.begin(), kLocal.end(),
                                           [magic](const auto& one) { return one.magic == magic; });
    const std::string_view network = cache::network_file_system_name(magic);
    facts.is_network = !network.empty();
    facts.is_memory = local != kLocal.end() && local->memory;
    facts.file_system = facts.is_network        ? std::string(network)
                        : local != kLocal.end() ? local->name
                                                : fmt::format("{:#x}", magic);
    struct statvfs room {};
    if (::statvfs(facts.present.c_str(), &room) == 0) {
        facts.free_bytes = static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize;
    }
}

}  // namespace

FolderFacts folder_facts(const std::filesystem::path& folder) {
    FolderFacts facts;
    facts.present = folder;
    std::error_code error;
    facts.exists = std::filesystem::exists(folder, error);
    while (!std::filesystem::exists(facts.present, error) && facts.present.has_relative_path()) {
        facts.present = facts.present.parent_path();
    }
    struct stat status {};
    if (::stat(facts.present.c_str(), &status) != 0) {
        facts.why_not_writable = std::generic_category().message(errno);
        return facts;
    }
    facts.is_folder = S_ISDIR(status.st_mode);
    facts.owner = status.st_uid;
    facts.owner_name = name_of(status.st_uid);
    facts.mode = status.st_mode & 07777U;
    // As the effective user, whom the cache's own checks are about.
    facts.writable = facts.is_folder &&
                     ::faccessat(AT_FDCWD, facts.present.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
    if (!facts.writable) {
        facts.why_not_writable =
            facts.is_folder ? std::generic_category().message(errno) : "is not a folder";
    }
    add_file_system(facts);
    return facts;
}

}  // namespace opforge::tools
