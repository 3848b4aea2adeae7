// The lock files that this process has open. A forked child shares their open file descriptions,
// and with them the locks, which would then outlive the parent: the child closes them first thing.
// Private.
#pragma once

#include <opforge/cache/file_system.hpp>

#include <functional>

namespace opforge::cache {

/// An open lock file, closed with its owner, or in a forked child, whichever is first.
class OpenLock {
public:
    /// `open` gives the descriptor; no fork comes between it and this object.
    OpenLock(FileSystem& files, const std::function<int()>& open);
    OpenLock(const OpenLock&) = delete;
    OpenLock& operator=(const OpenLock&) = delete;
    ~OpenLock();

    /// False in a child that was forked since.
    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int get() const noexcept { return descriptor_; }

private:
    friend struct OpenLocks;
    FileSystem& files_;
    int descriptor_ = -1;
};

}  // namespace opforge::cache
