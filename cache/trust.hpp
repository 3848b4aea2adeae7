// Who may have written what the cache reads. Private.
#pragma once

#include <opforge/cache/errors.hpp>
#include <opforge/cache/file_system.hpp>

#include <filesystem>
#include <string>

namespace opforge::cache {

/// Not ours alone: owner, mode, a link, or the wrong type of file. Never read, and never moved
/// either.
class InsecureError : public CacheError {
public:
    using CacheError::CacheError;
};

enum class Trust {
    own,     // the effective user's and root's, which nobody else may write
    shared,  // declared by the user: anybody's, and their group may write; the rest of the world
             // not
};

/// For one way down a tree: the user is asked for once, and not at every step.
struct Trusted {
    Trust trust = Trust::own;
    unsigned user = 0;  // the effective one
    [[nodiscard]] static Trusted now(Trust trust) noexcept;
};

/// What to do about an errno that a file call gave.
[[nodiscard]] std::string remedy_for(int code);

/// A link (ELOOP, or ENOTDIR where a directory was asked for), a file, a socket (ENXIO): not what
/// the store makes.
[[nodiscard]] bool means_other_type(int code) noexcept;

/// @throws InsecureError that names the path and the remedy
void check_owner_and_mode(const FileStatus& status, const std::filesystem::path& path,
                          const Trusted& trusted);
[[noreturn]] void refuse_as_directory(const std::filesystem::path& path, int code);
[[noreturn]] void refuse_as_file(const std::filesystem::path& path, int code);

}  // namespace opforge::cache
