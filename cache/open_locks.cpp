#include "open_locks.hpp"

#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/process_object.hpp>

#include <pthread.h>

#include <mutex>
#include <utility>
#include <vector>

namespace opforge::cache {

struct OpenLocks {
    ForkSafeMutex mutex;
    std::vector<OpenLock*> all;

    // The child has one thread, and fork() took the mutex: the list is whole, and nobody else's.
    void close_all() {
        for (OpenLock* each : std::exchange(all, {})) {
            each->files_.close(std::exchange(each->descriptor_, -1));
        }
    }
};

namespace {

constinit ProcessObject<OpenLocks> open_locks;

// At load, as in fork_safe_mutex.cpp.
[[maybe_unused]] const int kWatchesForks = ::pthread_atfork(nullptr, nullptr, [] {
    if (OpenLocks* const locks = open_locks.find()) {
        locks->close_all();
    }
});

}  // namespace

OpenLock::OpenLock(FileSystem& files, const std::function<int()>& open) : files_(files) {
    OpenLocks& locks = open_locks.get();
    const std::lock_guard lock(locks.mutex);
    locks.all.reserve(locks.all.size() +
                      1);  // what may throw comes before there is something to lose
    descriptor_ = open();
    locks.all.push_back(this);
}

OpenLock::~OpenLock() {
    OpenLocks& locks = open_locks.get();
    const std::lock_guard lock(locks.mutex);
    if (descriptor_ >= 0) {
        std::erase(locks.all, this);
        files_.close(descriptor_);
    }
}

}  // namespace opforge::cache
