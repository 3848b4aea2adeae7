#include "worker_pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>

#include <pthread.h>

namespace opforge::runtime::host {
namespace {

constexpr std::chrono::seconds kIdleTime{1};

constinit std::atomic<WorkerPool*> process_pool{nullptr};

// The parent's pool is left as it was at the fork, its mutex maybe held for ever. Registered at
// load, before there is a thread that another one's fork could cut off in the middle of it.
[[maybe_unused]] const int kWatchesForks = ::pthread_atfork(
    nullptr, nullptr, [] { process_pool.store(nullptr, std::memory_order_release); });

}  // namespace

WorkerPool& WorkerPool::of_process() {
    if (WorkerPool* const pool = process_pool.load(std::memory_order_acquire)) {
        return *pool;
    }
    auto* const made = new WorkerPool;
    WorkerPool* expected = nullptr;
    if (process_pool.compare_exchange_strong(expected, made, std::memory_order_acq_rel)) {
        return *made;
    }
    delete made;
    return *expected;
}

void WorkerPool::run(const std::function<void()>& work, int helpers) {
    Job job{.work = &work, .wanted = helpers, .active = 0, .ended = {}};
    std::unique_lock lock(mutex_);
    jobs_.push_back(&job);
    start_workers(helpers);
    lock.unlock();
    wake_.notify_all();
    work();
    lock.lock();
    jobs_.remove(&job);  // whoever has not joined by now would find nothing to do
    job.ended.wait(lock, [&] { return job.active == 0; });
}

void WorkerPool::start_workers(int helpers) {
    try {
        for (; idle_ < helpers; ++idle_) {
            std::thread([this] { serve(); }).detach();
        }
    } catch (const std::system_error&) {
        // No more threads to be had (a process limit): those that started, and the caller, do the
        // work.
    }
}

void WorkerPool::serve() {
    std::unique_lock lock(mutex_);
    while (wake_.wait_for(lock, kIdleTime, [&] { return !jobs_.empty(); })) {
        Job& job = *jobs_.front();
        --idle_;
        ++job.active;
        if (--job.wanted == 0) {
            jobs_.pop_front();
        }
        lock.unlock();
        (*job.work)();
        lock.lock();
        ++idle_;
        if (--job.active == 0) {
            job.ended.notify_one();
        }
    }
    --idle_;
}

}  // namespace opforge::runtime::host
