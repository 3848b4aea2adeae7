#include "folder_facts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace opforge::tools {
namespace {

struct FileSystemKind {
    long magic;
    const char* name;
    bool network;
    bool memory;
};

// As statfs(2) and linux/magic.h have them.
constexpr std::array<FileSystemKind, 19> kKinds = {{
    {0xEF53, "ext4", false, false},         {0x58465342, "xfs", false, false},
    {0x9123683E, "btrfs", false, false},    {0x2FC12FC1, "zfs", false, false},
    {0xF2F52010, "f2fs", false, false},     {0x794C7630, "overlay", false, false},
    {0x73717368, "squashfs", false, false}, {0xE0F5E1E2, "erofs", false, false},
    {0x01021994, "tmpfs", false, true},     {0x858458F6, "ramfs", false, true},
    {0x6969, "nfs", true, false},           {0xFF534D42, "cifs", true, false},
    {0xFE534D42, "smb2", true, false},      {0x00C36400, "ceph", true, false},
    {0x0BD00BD0, "lustre", true, false},    {0x47504653, "gpfs", true, false},
    {0x5346414F, "afs", true, false},       {0x01021997, "9p", true, false},
    {0x65735546, "fuse", true, false},
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
    const auto magic = static_cast<long>(static_cast<std::uint32_t>(kind.f_type));
    const auto* const known = std::find_if(kKinds.begin(), kKinds.end(),
                                           [magic](const auto& one) { return one.magic == magic; });
    facts.file_system = known != kKinds.end() ? known->name : fmt::format("{:#x}", magic);
    facts.is_network = known != kKinds.end() && known->network;
    facts.is_memory = known != kKinds.end() && known->memory;
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
