#include "shared_place.hpp"

#include <fmt/format.h>

#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace opforge::cache {
namespace {

std::string error_text(int code) {
    return std::generic_category().message(code);
}

}  // namespace

std::string shared_place_fault(const std::filesystem::path& parent,
                               const std::filesystem::path& place, unsigned effective_user) {
    struct stat status {};
    if (::stat(parent.c_str(), &status) != 0) {
        return fmt::format("{}: {}", parent.string(), error_text(errno));
    }
    const bool others_write = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (!S_ISDIR(status.st_mode) || (others_write && (status.st_mode & S_ISVTX) == 0)) {
        return fmt::format("{} is not a directory where names are safe from others (no sticky bit)",
                           parent.string());
    }
    if (::lstat(place.c_str(), &status) != 0) {
        return errno == ENOENT ? std::string()
                               : fmt::format("{}: {}", place.string(), error_text(errno));
    }
    if (!S_ISDIR(status.st_mode)) {
        return fmt::format("{} is not a directory", place.string());
    }
    if (status.st_uid != effective_user) {
        return fmt::format("{} belongs to user {}, not to {}", place.string(), status.st_uid,
                           effective_user);
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fmt::format("{} can be written by others (mode {:04o})", place.string(),
                           status.st_mode & 07777U);
    }
    return {};
}

}  // namespace opforge::cache
