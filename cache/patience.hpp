// How long to try again what a network file system refuses for a moment: names that another node
// has just made (ENOENT) or replaced (ESTALE). Private.
#pragma once

#include <opforge/cache/file_system.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace opforge::cache {

/// What another machine, or a process that clears the cache, may have caused and the next try may
/// not meet.
[[nodiscard]] inline bool is_passing(const std::error_code& code) noexcept {
    return code.value() == ENOENT || code.value() == ESTALE;
}

class Patience {
public:
    explicit Patience(FileSystem& files) noexcept : files_(files) {}

    /// Waits a little; false, at once, where all of it is spent.
    [[nodiscard]] bool wait() {
        if (left_ <= std::chrono::milliseconds(0)) {
            return false;
        }
        const auto now = std::min(next_, left_);
        files_.pause(now);
        left_ -= now;
        next_ *= 2;
        return true;
    }

private:
    FileSystem& files_;
    // An NFS client trusts what it knows of a directory for some seconds, but asks the server again
    // when it opens it; beyond this a compile is the faster way on.
    std::chrono::milliseconds left_{200};
    std::chrono::milliseconds next_{5};
};

}  // namespace opforge::cache
