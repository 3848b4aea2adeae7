// Opening a name of several components none of which may be a link. Private.
#pragma once

#include <string>

namespace opforge::cache {

/// As openat(2), with O_NOFOLLOW for every component and O_CLOEXEC; gives -1 and errno.
[[nodiscard]] int open_beneath(int parent, const std::string& name, int flags) noexcept;

}  // namespace opforge::cache
