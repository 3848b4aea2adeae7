// A folder as the machine has it: file system, owner, room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace opforge::tools {

struct FolderFacts {
    std::filesystem::path present;  // the folder, or the nearest above it that exists
    bool exists = false;            // the folder itself
    bool is_folder = false;         // `present` is one
    bool writable = false;          // for the effective user, as far as can be said without writing
    std::string why_not_writable;
    unsigned owner = 0;
    std::string owner_name;   // empty where the number has no name
    unsigned mode = 0;        // permission bits
    std::string file_system;  // "ext4", "overlay", "NFS"; a number where it is none we know
    bool is_network = false;
    bool is_memory = false;                   // gone after a restart
    std::optional<std::uint64_t> free_bytes;  // for the effective user
};

[[nodiscard]] FolderFacts folder_facts(const std::filesystem::path& folder);

}  // namespace opforge::tools
