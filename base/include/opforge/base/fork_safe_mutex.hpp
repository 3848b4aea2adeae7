// What keeps a forked child from waiting for a thread that it does not have. Only the thread that
// calls fork() lives on in the child; a mutex that another one held would stay locked there for
// ever, and work that another one had begun would never end.
#pragma once

#include <opforge/base/export.hpp>

#include <cstdint>
#include <mutex>

namespace opforge {

/// In which order fork() takes them, and anybody who takes several.
enum class ForkOrder { outer, inner, leaf };

/// A mutex that fork() waits for, and that is therefore free in the child. Hold it for as long as a
/// fork may wait; never call fork() while holding it, and never take two of one order at once.
class OPFORGE_API ForkSafeMutex {
public:
    explicit ForkSafeMutex(ForkOrder order = ForkOrder::outer);
    ForkSafeMutex(const ForkSafeMutex&) = delete;
    ForkSafeMutex& operator=(const ForkSafeMutex&) = delete;
    ~ForkSafeMutex();

    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

private:
    std::mutex mutex_;
    ForkOrder order_;
};

/// How many forks lie between this process and the one that first asked. What was begun under
/// another number was begun by threads that do not exist here.
[[nodiscard]] OPFORGE_API std::uint64_t fork_generation() noexcept;

}  // namespace opforge
