#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/process_object.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

namespace opforge {
namespace {

constexpr std::size_t kOrders = 3;

constinit std::atomic<std::uint64_t> generation{0};

// All that live, by order.
struct Living {
    std::mutex mutex;
    std::array<std::vector<ForkSafeMutex*>, kOrders> by_order;

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
};

constinit ProcessObject<Living> living;

// As the program or library is loaded, before there is a thread that another one's fork could cut
// off in the middle of it.
[[maybe_unused]] const int kWatchesForks =
    ::pthread_atfork([] { living.get().lock_all(); }, [] { living.get().unlock_all(); },
                     [] {
                         ++generation;
                         living.get().unlock_all();
                     });

}  // namespace

ForkSafeMutex::ForkSafeMutex(ForkOrder order) : order_(order) {
    Living& all = living.get();
    const std::lock_guard lock(all.mutex);
    all.by_order.at(static_cast<std::size_t>(order_)).push_back(this);
}

ForkSafeMutex::~ForkSafeMutex() {
    Living& all = living.get();
    const std::lock_guard lock(all.mutex);
    std::erase(all.by_order.at(static_cast<std::size_t>(order_)), this);
}

std::uint64_t fork_generation() noexcept {
    return generation.load(std::memory_order_acquire);
}

}  // namespace opforge
