#include "shared_place.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/cache/cache_root.hpp>

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace opforge::cache {
namespace {

std::string error_text(int code) {
    return std::generic_category().message(code);
}

// One form of each path, so that two spellings of a root are one root.
std::filesystem::path tidy(const std::filesystem::path& path) {
    std::filesystem::path normal = path.lexically_normal();
    return normal.has_filename() || !normal.has_relative_path() ? normal : normal.parent_path();
}

std::filesystem::path meant(const std::filesystem::path& path, const char* origin) {
    if (!path.is_absolute()) {
        throw InvalidArgument(fmt::format("choose cache directory: '{}' ({}) is not an absolute "
                                          "path; a relative one would depend on where "
                                          "a program is started; write it in full",
                                          path.string(), origin));
    }
    return tidy(path);
}

// Empty: HOME is fit to hold a cache.
std::string home_fault(const std::string& home, unsigned effective_user) {
    if (!std::filesystem::path(home).is_absolute()) {
        return fmt::format("HOME '{}' is not an absolute path", home);
    }
    if (tidy(home) == "/") {
        return "HOME is /";
    }
    struct stat status {};
    if (::stat(home.c_str(), &status) != 0) {
        return fmt::format("HOME {}: {}", home, error_text(errno));
    }
    if (!S_ISDIR(status.st_mode)) {
        return fmt::format("HOME {} is not a directory", home);
    }
    if (status.st_uid != effective_user) {
        // sudo without -H: a cache made here would be root's, in a user's home.
        return fmt::format("HOME {} belongs to user {}, not to {}", home, status.st_uid,
                           effective_user);
    }
    return {};
}

}  // namespace

RootEnvironment RootEnvironment::of_process() {
    RootEnvironment environment;
    environment.variable = [](const char* name) { return opforge::environment(name); };
    environment.effective_user = ::geteuid();
    return environment;
}

CacheRoot select_root(const std::optional<std::filesystem::path>& explicit_root,
                      const RootEnvironment& environment) {
    CacheRoot root;
    const auto chosen = [&](std::filesystem::path path, std::string origin) {
        root.path = std::move(path);
        root.origin = std::move(origin);
        return root;
    };
    if (explicit_root) {
        return chosen(meant(*explicit_root, "argument"), "argument");
    }
    if (const auto directory = environment.variable("OPFORGE_CACHE_DIR")) {
        return chosen(meant(*directory, "OPFORGE_CACHE_DIR"), "OPFORGE_CACHE_DIR");
    }
    if (const auto base = environment.variable("XDG_CACHE_HOME")) {
        const std::filesystem::path path(*base);
        if (path.is_absolute()) {
            return chosen(tidy(path / "opforge"), "XDG_CACHE_HOME");
        }
        // The XDG base directory specification: a relative path is invalid and to be ignored.
        root.refusals.push_back(fmt::format("XDG_CACHE_HOME '{}' is not an absolute path", *base));
    }
    if (const auto home = environment.variable("HOME")) {
        std::string fault = home_fault(*home, environment.effective_user);
        if (fault.empty()) {
            return chosen(tidy(std::filesystem::path(*home) / ".cache" / "opforge"), "HOME");
        }
        root.refusals.push_back(std::move(fault));
    } else {
        root.refusals.emplace_back("HOME is not set");
    }
    std::filesystem::path place =
        environment.var_tmp / fmt::format("opforge-{}", environment.effective_user);
    std::string fault = shared_place_fault(environment.var_tmp, place, environment.effective_user);
    if (fault.empty()) {
        return chosen(std::move(place), "/var/tmp");
    }
    root.refusals.push_back(std::move(fault));
    root.origin = "none";
    return root;
}

}  // namespace opforge::cache
