#include "parallel_for.hpp"

#include "worker_pool.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include <sched.h>

namespace opforge::runtime::host {

int available_threads() noexcept {
    // The affinity mask, not the machine: a container or taskset may leave fewer.
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
        return std::max(CPU_COUNT(&set), 1);
    }
    return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

void parallel_for(std::int64_t items, int threads, const std::function<void(std::int64_t)>& body) {
    const std::int64_t wanted =
        std::min<std::int64_t>(threads > 0 ? threads : available_threads(), items);
    std::atomic<std::int64_t> next{0};
    std::mutex mutex;
    std::exception_ptr failure;
    const std::function<void()> work = [&] {
        try {
            for (std::int64_t item = next++; item < items; item = next++) {
                body(item);
            }
        } catch (...) {
            next = items;
            const std::lock_guard lock(mutex);
            failure = failure ? failure : std::current_exception();
        }
    };
    if (wanted > 1) {
        WorkerPool::of_process().run(work, static_cast<int>(wanted) - 1);
    } else {
        work();
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

}  // namespace opforge::runtime::host
