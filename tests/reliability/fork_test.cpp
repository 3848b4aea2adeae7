// Suite 13: fork, exec, exit and cancelled threads in every moment of a compile. Nobody is stuck,
// nobody inherits a lock, and a child's cache works.
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/child_process.hpp"
#include "support/leave.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <dlfcn.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <future>
#include <string>
#include <thread>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// Far above what a cell takes; then alarm() ends it, and it counts as a deadlock.
constexpr unsigned kDeadlineSeconds = 60;

Built slow_build() {
    std::this_thread::sleep_for(milliseconds(5));
    return sample_built();
}

bool asks(const fs::path& root, const Request& request = sample_request()) {
    Cache cache({root, false});
    const Result result =
        cache.find_or_build(sample_lookup(request), [&] { return sample_built(request); });
    return result.entry && result.entry->artifact == sample_built(request).artifact;
}

// Forks; the child ends with 0 where `work` gives true. What a child of a child does is part of it.
int forked(const std::function<bool()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(kDeadlineSeconds);
        leave(work() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool has_lock_open(pid_t process) {
    std::error_code code;
    const fs::path folder = fs::path("/proc") / std::to_string(process) / "fd";
    for (const auto& entry : fs::directory_iterator(folder, code)) {
        const std::string target = fs::read_symlink(entry.path(), code).string();
        if (target.ends_with("/lock") || target.ends_with(".lock")) {
            return true;
        }
    }
    return false;
}

class Cells {
public:
    Cells(SuiteRecord& record, std::uint64_t repeats) : record_(record), repeats_(repeats) {}
    /// `work` runs in a process of its own, on an empty root, so many times.
    void operator()(const std::string& name, const std::function<bool(const fs::path&)>& work) {
        for (std::uint64_t i = 0; i < repeats_; ++i) {
            const TemporaryDirectory directory(fastest_parent());
            const fs::path root = directory.path() / "root";
            const int code = forked([&] { return work(root); });
            record_.visit();
            if (code != 0) {
                record_.violation(name + ": ended with " + std::to_string(code) +
                                  (code == 128 + SIGALRM ? " (stuck)" : ""));
            }
            for (const Listed& listed : DirectoryStore(root).list(true)) {
                if (!listed.manifest) {
                    record_.violation(name + ": a broken entry is left: " + listed.reason);
                }
            }
        }
        record_.count("cells");
    }

private:
    SuiteRecord& record_;
    std::uint64_t repeats_;
};

// A thread that compiles the sample key until it is told to go on.
class Compiling {
public:
    explicit Compiling(Cache& cache) {
        thread_ = std::thread([this, &cache] {
            const Result result = cache.find_or_build(sample_lookup(), [this] {
                begun_.set_value();
                go_.get_future().wait();
                return sample_built();
            });
            served_ = result.entry != nullptr;
        });
        begun_.get_future().wait();
    }
    Compiling(const Compiling&) = delete;
    Compiling& operator=(const Compiling&) = delete;
    ~Compiling() { static_cast<void>(finish()); }
    bool finish() {
        if (thread_.joinable()) {
            go_.set_value();
            thread_.join();
        }
        return served_;
    }

private:
    std::promise<void> begun_;
    std::promise<void> go_;
    std::thread thread_;
    bool served_ = false;
};

void run_cells(SuiteRecord& record, std::uint64_t repeats) {
    const LogCapture quiet;
    Cells cell(record, repeats);
    cell("fork in idle", [](const fs::path& root) {
        Cache cache({root, false});
        static_cast<void>(cache.find_or_build(sample_lookup(), slow_build));
        return forked([&] {
                   const Request other = sample_request("other");
                   return cache.find(sample_lookup()).origin == Origin::memory &&
                          cache.find_or_build(sample_lookup(other), [&] {
                                   return sample_built(other);
                               }).entry != nullptr;
               }) == 0;
    });
    cell("fork while another thread compiles: the child asks for the same key of the same cache",
         [](const fs::path& root) {
             CacheOptions options;
             options.directory = root;
             options.lock_limit = milliseconds(50);
             Cache cache(options);
             Compiling compiling(cache);
             const int code = forked([&] {
                 return !has_lock_open(::getpid()) &&
                        cache.find_or_build(sample_lookup(), slow_build).entry != nullptr;
             });
             return code == 0 && compiling.finish();
         });
    cell("fork while another thread compiles: the child asks for another key",
         [](const fs::path& root) {
             Cache cache({root, false});
             Compiling compiling(cache);
             const int code = forked([&] {
                 const Request other = sample_request("other");
                 return cache
                            .find_or_build(sample_lookup(other),
                                           [&] { return sample_built(other); })
                            .entry != nullptr;
             });
             return code == 0 && compiling.finish();
         });
    cell("fork inside the compile", [](const fs::path& root) {
        Cache cache({root, false});
        int code = -1;
        const Result result = cache.find_or_build(sample_lookup(), [&] {
            code = forked(
                [&] { return !has_lock_open(::getpid()) && asks(root, sample_request("other")); });
            return sample_built();
        });
        return code == 0 && result.entry && cache.counters().publish_failures == 0;
    });
    cell("spawn during the compile: no lock is inherited", [](const fs::path& root) {
        Cache cache({root, false});
        Compiling compiling(cache);
        pid_t child = 0;
        std::string program = "sleep";
        std::string argument = "5";
        char* arguments[] = {program.data(), argument.data(), nullptr};
        if (::posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments, environ) != 0) {
            return false;
        }
        const bool inherited = has_lock_open(child);
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        return !inherited && compiling.finish();
    });
    cell("vfork and exec during the compile", [](const fs::path& root) {
        Cache cache({root, false});
        Compiling compiling(cache);
        const pid_t child = ::vfork();
        if (child == 0) {
            ::execlp("true", "true", nullptr);
            ::_exit(127);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 && compiling.finish();
    });
    cell("exit while a thread compiles", [](const fs::path& root) {
        return forked([&]() -> bool {
                   auto& cache = *new Cache({root, false});
                   static_cast<void>(new Compiling(cache));
                   std::exit(0);  // runs the exit handlers beside the thread
               }) == 0 &&
               asks(root);
    });
#ifndef __SANITIZE_THREAD__  // a thread cancelled in a call that it watches: it sees none of its
                             // locks from then on
    cell("a thread is cancelled while it compiles, and another waits", [](const fs::path& root) {
        Cache cache({root, false});
        std::promise<void> begun;
        std::thread victim([&] {
            static_cast<void>(cache.find_or_build(sample_lookup(), [&] {
                begun.set_value();
                for (;;) {
                    ::usleep(1000);  // a cancellation point
                }
                return sample_built();
            }));
        });
        begun.get_future().wait();
        std::promise<bool> served;
        std::thread waiter([&] {
            served.set_value(cache.find_or_build(sample_lookup(), slow_build).entry != nullptr);
        });
        while (cache.counters().shared_waits == 0) {
            std::this_thread::sleep_for(milliseconds(1));
        }
        ::pthread_cancel(victim.native_handle());
        victim.join();
        const bool good = served.get_future().get();
        waiter.join();
        return good;
    });
#endif
#ifndef __SANITIZE_ADDRESS__  // GCC 12's takes none of its allocator's locks before a fork
    cell("threads ask while another one forks", [](const fs::path& root) {
        CacheOptions options;
        options.directory = root;
        options.lock_limit = milliseconds(200);
        Cache cache(options);
        std::atomic<bool> stop{false};
        std::atomic<bool> good{true};
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&, i] {
                for (int round = 0; !stop; ++round) {
                    const Request request = sample_request(std::to_string(i * 1000 + round % 40));
                    const Result result = cache.find_or_build(
                        sample_lookup(request), [&] { return sample_built(request); });
                    good = good && result.entry != nullptr;
                }
            });
        }
        for (int i = 0; i < 5; ++i) {
            const int code = forked([&] {
                const Request request = sample_request(std::to_string(i));
                return cache
                           .find_or_build(sample_lookup(request),
                                          [&] { return sample_built(request); })
                           .entry != nullptr;
            });
            good = good && code == 0;
        }
        stop = true;
        for (std::thread& thread : threads) {
            thread.join();
        }
        return good.load();
    });
#endif
}

}  // namespace

TEST_CASE("fork, exec, exit and cancelled threads leave nobody stuck", "[fork]") {
    SuiteRecord record(13, "fork, exec and threads", "", "runs");
    run_cells(record, scaled(48));
    record.check();
}

TEST_CASE("a hundred forks, execs, exits and cancelled threads leave nobody stuck",
          "[fork][.stress]") {
    SuiteRecord record(13, "fork, exec and threads", "", "runs", Form::full);
    run_cells(record, 100);
    record.check();
}

TEST_CASE("a module with a cache in it can be closed, before and after forks", "[fork]") {
    SuiteRecord record(13, "fork, exec and threads", "dlclose", "runs");
    for (std::uint64_t i = 0; i < scaled(16); ++i) {
        const TemporaryDirectory directory(fastest_parent());
        const int code = forked([&] {
            void* const module = ::dlopen(CACHE_MODULE, RTLD_NOW | RTLD_LOCAL);
            if (module == nullptr) {
                return false;
            }
            auto* const use =
                reinterpret_cast<int (*)(const char*)>(::dlsym(module, "use_a_cache"));
            const bool used = use != nullptr && use((directory.path() / "root").c_str()) == 1;
            ::dlclose(module);
            // A handler that the module left behind would be called here, where it no longer is.
            return used && forked([] { return true; }) == 0;
        });
        record.visit();
        if (code != 0) {
            record.violation("ended with " + std::to_string(code));
        }
    }
    record.check();
}
