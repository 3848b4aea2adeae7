// One warning a cause: a cache that cannot do its work says so once, not at every op. Private.
#pragma once

#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/log_sink.hpp>

#include <mutex>
#include <set>
#include <string>

namespace opforge::cache {

class Warnings {
public:
    void warn(const std::string& cause, const std::string& message) {
        {
            const std::lock_guard lock(mutex_);
            if (!given_.insert(cause).second) {
                return;
            }
        }
        log(LogLevel::warning, message);
    }

private:
    ForkSafeMutex mutex_;
    std::set<std::string> given_;
};

}  // namespace opforge::cache
