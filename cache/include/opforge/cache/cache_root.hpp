// Where the user's cache lives, and why there.
// Order: explicit argument, OPFORGE_CACHE_DIR, $XDG_CACHE_HOME/opforge, $HOME/.cache/opforge (HOME
// set, the effective user's own and not "/"), /var/tmp/opforge-<uid>, memory only. Nothing
// relative, ever.
#pragma once

#include <opforge/base/export.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace opforge::cache {

struct CacheRoot {
    std::filesystem::path path;  // empty: memory only
    std::string
        origin;  // "argument", "OPFORGE_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "/var/tmp", "none"
    std::vector<std::string> refusals;  // one line for each place passed over, with its reason
};

/// The environment as root selection sees it: tests pass their own.
struct OPFORGE_API RootEnvironment {
    std::function<std::optional<std::string>(const char*)> variable;
    unsigned effective_user = 0;
    std::filesystem::path var_tmp = "/var/tmp";
    [[nodiscard]] static RootEnvironment of_process();
};

/// Creates nothing. An explicit or OPFORGE_CACHE_DIR root that is relative is an InvalidArgument:
/// the user meant it.
[[nodiscard]] OPFORGE_API CacheRoot
select_root(const std::optional<std::filesystem::path>& explicit_root,
            const RootEnvironment& environment = RootEnvironment::of_process());

}  // namespace opforge::cache
