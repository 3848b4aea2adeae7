// The names below a cache's root. Format: docs/cache_format.md. Private.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace opforge::cache {

inline constexpr int kLayoutVersion = 1;
inline constexpr const char* kVersionFolder = "v1";
inline constexpr const char* kEntriesFolder = "entries";
inline constexpr const char* kStagingFolder = "tmp";
inline constexpr const char* kQuarantineFolder = "quarantine";
inline constexpr const char* kLockFile = "lock";
inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kTagFile = "CACHEDIR.TAG";

[[nodiscard]] inline std::string artifact_file(std::string_view kind) {
    return "kernels." + std::string(kind);
}

[[nodiscard]] inline std::string shard_of(std::string_view entry_name) {
    return std::string(entry_name.substr(0, 2));
}

/// An entry's place relative to the root.
[[nodiscard]] inline std::string relative_path_of(std::string_view entry_name) {
    return std::string(kVersionFolder) + '/' + kEntriesFolder + '/' + shard_of(entry_name) + '/' +
           std::string(entry_name);
}

[[nodiscard]] inline bool is_lower_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char character) {
        return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f');
    });
}

/// "<64 hex>.<12 hex>": checked before a name from outside becomes part of a path.
[[nodiscard]] inline bool is_entry_name(std::string_view name) {
    return name.size() == 77 && name[64] == '.' && is_lower_hex(name.substr(0, 64)) &&
           is_lower_hex(name.substr(65));
}

}  // namespace opforge::cache
