#include "open_locks.hpp"

#include <opforge/base/fork_safe_mutex.hpp>

#include <pthread.h>

#include <mutex>
#include <utility>
#include <vector>

namespace opforge::cache {

struct OpenLocks {
    ForkSafeMutex mutex;
    std::vector<OpenLock*> all;

    OpenLocks() { ::pthread_atfork(nullptr, nullptr, &close_in_child); }
    static OpenLocks& instance() {
        // Never destroyed: a fork may come while the process ends.
        static OpenLocks& instance = *new OpenLocks;
        return instance;
    }
    // The child has one thread, and fork() took the mutex: the list is whole, and nobody else's.
    static void close_in_child() {
        for (OpenLock* each : std::exchange(instance().all, {})) {
            each->files_.close(std::exchange(each->descriptor_, -1));
        }
    }
};

OpenLock::OpenLock(FileSystem& files, const std::function<int()>& open) : files_(files) {
    OpenLocks& locks = OpenLocks::instance();
    const std::lock_guard lock(locks.mutex);
    locks.all.reserve(locks.all.size() +
                      1);  // what may throw comes before there is something to lose
    descriptor_ = open();
    locks.all.push_back(this);
}

OpenLock::~OpenLock() {
    OpenLocks& locks = OpenLocks::instance();
    const std::lock_guard lock(locks.mutex);
    if (descriptor_ >= 0) {
        std::erase(locks.all, this);
        files_.close(descriptor_);
    }
}

}  // namespace opforge::cache
