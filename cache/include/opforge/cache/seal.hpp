// Making a cache directory a sealed layer, and checking one: it can be moved, copied and shipped,
// nothing publishes into it any more, and a list of digests says what it must hold.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/cache/directory_store.hpp>
#include <opforge/cache/file_system.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace opforge::cache {

struct Sealed {
    Tally entries;
    Digest list;  // of the digest list: what `sha256=` in OPFORGE_LAYERS takes
};

/// Verifies every entry, writes the digest list, takes away what is no entry (staging, quarantine,
/// lock), and then everybody's right to write. A sealed directory that is still whole stays as it
/// is.
/// @param seconds_since_1970  the time that all files get, for reproducible images; nullopt: they
///                            keep theirs
/// @throws IntegrityError naming an entry that is not sound, or not what was sealed;
/// InvalidArgument where there is no entry; CacheError where the disk refuses.
OPFORGE_API Sealed seal_directory(const std::filesystem::path& root,
                                  std::optional<std::int64_t> seconds_since_1970 = std::nullopt,
                                  FileSystem& files = posix_file_system());

struct SealFault {
    std::string subject;  // an entry's name, or the list
    std::string reason;
};
struct SealCheck {
    bool sealed = false;
    std::vector<SealFault> faults;  // missing, unlisted and altered entries; empty: it is whole
};
/// Holds what is in a layer against its digest list, where it has one. What is wrong with an entry
/// by itself is DirectoryStore::list()'s to say.
/// @throws CacheError where the layer cannot be read
[[nodiscard]] OPFORGE_API SealCheck check_seal(const std::filesystem::path& root, bool shared,
                                               const std::optional<Digest>& expected = std::nullopt,
                                               FileSystem& files = posix_file_system());

}  // namespace opforge::cache
