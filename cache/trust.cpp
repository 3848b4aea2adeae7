#include "trust.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <unistd.h>

namespace opforge::cache {
namespace {

constexpr unsigned kGroupWrites = 020;
constexpr unsigned kOthersWrite = 002;

InsecureError insecure(const char* action, const std::filesystem::path& path, int code,
                       const std::string& remedy) {
    return {action, path, {code, std::generic_category()}, remedy};
}

}  // namespace

Trusted Trusted::now(Trust trust) noexcept {
    return {trust, ::geteuid()};
}

std::string remedy_for(int code) {
    switch (code) {
    case EACCES:
    case EPERM:
        return "give yourself access, or set OPFORGE_CACHE_DIR to a directory of your own";
    case ENOTDIR:
    case ELOOP:
        return "a file or a loop of links stands where a directory belongs; remove it, or set "
               "OPFORGE_CACHE_DIR to another directory";
    case EROFS:
        return "set OPFORGE_CACHE_DIR to a directory on a writable file system";
    case ENOSPC:
    case EDQUOT:
        return "free space, or set OPFORGE_CACHE_DIR to a directory on another disk";
    case EFBIG:
        return "raise the limit of file sizes (ulimit -f), or set OPFORGE_CACHE_DIR to another "
               "disk";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (ulimit -n)";
    case ENOMEM:
        return "free memory";
    case ENOLCK:
        return "the file system gives no locks: set OPFORGE_CACHE_DIR to a local directory";
    default:
        return "check the disk, or set OPFORGE_CACHE_DIR to another directory";
    }
}

bool means_other_type(int code) noexcept {
    return code == ELOOP || code == ENOTDIR || code == ENXIO;
}

void check_owner_and_mode(const FileStatus& status, const std::filesystem::path& path,
                          const Trusted& trusted) {
    const bool own = trusted.trust == Trust::own;
    if (own && status.owner != trusted.user && status.owner != 0) {
        throw insecure(
            "use", path, EPERM,
            fmt::format("it belongs to user {}, who could have written it; remove it or make it "
                        "yours (chown {}), set OPFORGE_CACHE_DIR to another directory, or, where "
                        "that user is trusted, declare it in OPFORGE_LAYERS as PATH;shared",
                        status.owner, trusted.user));
    }
    const unsigned refused = own ? kGroupWrites | kOthersWrite : kOthersWrite;
    if ((status.mode & refused) != 0) {
        throw insecure(
            "use", path, EPERM,
            fmt::format("its mode {:04o} lets others write to it; chmod {} it if you trust what "
                        "it holds, or set OPFORGE_CACHE_DIR to another directory",
                        status.mode, own ? "go-w" : "o-w"));
    }
}

void refuse_as_directory(const std::filesystem::path& path, int code) {
    throw insecure("open", path, code,
                   "a link or a file stands where a directory belongs; remove it");
}

void refuse_as_file(const std::filesystem::path& path, int code) {
    throw insecure("open", path, code, "a link or a device stands where a file belongs; remove it");
}

}  // namespace opforge::cache
