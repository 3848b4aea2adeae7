// The threads of the host backend: kept from call to call, because starting a dozen takes as long
// as quantizing a few megabytes with them, and gone after a second without work.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>

namespace opforge::runtime::host {

/// Any thread. Callers share the workers: each also works itself, so all get on.
class WorkerPool {
public:
    /// Never destroyed. A forked child, which has none of its parent's threads, gets a pool of its
    /// own.
    [[nodiscard]] static WorkerPool& of_process();

    WorkerPool() = default;
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    /// Runs `work` on this thread and on at most `helpers` workers at once; returns when all that
    /// began have ended. `work` throws nothing and, called after all is done, returns at once.
    /// Where the system gives no more threads there are fewer.
    void run(const std::function<void()>& work, int helpers);

private:
    struct Job {
        const std::function<void()>* work;
        int wanted;      // helpers that may still join
        int active = 0;  // helpers at it
        std::condition_variable ended;
    };
    void start_workers(int helpers);
    void serve();

    std::mutex mutex_;  // guards all below, and the jobs
    std::condition_variable wake_;
    std::list<Job*> jobs_;  // those that want helpers
    int idle_ = 0;
};

}  // namespace opforge::runtime::host
