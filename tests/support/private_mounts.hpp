// Mounts that only this process sees.
#pragma once

#include <sched.h>
#include <sys/mount.h>

namespace opforge::test {

/// From now on this process's mounts are its own. False where that is not allowed: it takes root.
[[nodiscard]] inline bool enter_private_mounts() {
    return ::unshare(CLONE_NEWNS) == 0 &&
           ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

}  // namespace opforge::test
