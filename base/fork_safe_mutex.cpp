#include <opforge/base/fork_safe_mutex.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

namespace opforge {
namespace {

constexpr std::size_t kOrders = 3;

std::atomic<std::uint64_t>& generation() {
    static std::atomic<std::uint64_t> instance{0};
    return instance;
}

// All that live, by order. Never destroyed: a fork may come while the process ends.
struct Living {
    std::mutex mutex;
    std::array<std::vector<ForkSafeMutex*>, kOrders> by_order;

    Living() { ::pthread_atfork(&before_fork, &in_parent, &in_child); }

    void lock_all() {
        mutex.lock();
        for (const auto& order : by_order) {
            for (ForkSafeMutex* each : order) {
                each->lock();
            }
        }
    }
    void unlock_all() {
        for (const auto& order : by_order) {
            for (ForkSafeMutex* each : order) {
                each->unlock();
            }
        }
        mutex.unlock();
    }

    static void before_fork();
    static void in_parent();
    static void in_child();
};

Living& living() {
    static Living& instance = *new Living;
    return instance;
}

void Living::before_fork() {
    living().lock_all();
}
void Living::in_parent() {
    living().unlock_all();
}
void Living::in_child() {
    ++generation();
    living().unlock_all();
}

}  // namespace

ForkSafeMutex::ForkSafeMutex(ForkOrder order) : order_(order) {
    Living& all = living();
    const std::lock_guard lock(all.mutex);
    all.by_order.at(static_cast<std::size_t>(order_)).push_back(this);
}

ForkSafeMutex::~ForkSafeMutex() {
    Living& all = living();
    const std::lock_guard lock(all.mutex);
    std::erase(all.by_order.at(static_cast<std::size_t>(order_)), this);
}

std::uint64_t fork_generation() noexcept {
    static_cast<void>(living());  // from now on forks are counted
    return generation().load(std::memory_order_acquire);
}

}  // namespace opforge
