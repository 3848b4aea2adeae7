// Suite 9: what can happen to the holder of a key's lock, and to the lock. Whoever waits is served,
// within its limit, and the next run compiles at most once.
#include "forwarding_file_system.hpp"
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/child_process.hpp"
#include "support/leave.hpp"
#include "support/log_capture.hpp"
#include "support/private_mounts.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A waiter polls at most every 50 ms; the rest is for the scheduler.
constexpr milliseconds kNextHolder{100};
constexpr int kTries = 5;

milliseconds since(Clock::time_point start) {
    return std::chrono::duration_cast<milliseconds>(Clock::now() - start);
}

// A process that compiles the sample key, holding its lock, until it is told to go on or is ended.
class Holder {
public:
    explicit Holder(const fs::path& root, const std::function<void()>& in_compile = {}) {
        std::array<int, 2> ready{};
        std::array<int, 2> go{};
        if (::pipe(ready.data()) != 0 || ::pipe(go.data()) != 0) {
            throw std::runtime_error("pipe failed");
        }
        child_ = ::fork();
        if (child_ == 0) {
            ::close(ready[0]);
            ::close(go[1]);
            Cache cache({root, false});
            const Result result = cache.find_or_build(sample_lookup(), [&] {
                if (in_compile) {
                    in_compile();
                }
                static_cast<void>(::write(ready[1], "r", 1));
                char byte = 0;
                static_cast<void>(::read(go[0], &byte, 1));
                return sample_built();
            });
            leave(result.entry && cache.counters().publish_failures == 0 ? 0 : 1);
        }
        ::close(ready[1]);
        ::close(go[0]);
        go_ = go[1];
        char byte = 0;
        if (::read(ready[0], &byte, 1) != 1) {
            throw std::runtime_error("the holder did not get to compile");
        }
        ::close(ready[0]);
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() {
        if (child_ > 0) {
            kill();
        }
    }
    void kill() {
        ::kill(child_, SIGKILL);
        reap();
    }
    void stop() const {
        ::kill(child_, SIGSTOP);
        int status = 0;
        ::waitpid(child_, &status, WUNTRACED);
    }
    void resume() const { ::kill(child_, SIGCONT); }
    /// Lets it finish; its exit code.
    int finish() {
        static_cast<void>(::write(go_, "g", 1));
        return reap();
    }

private:
    int reap() {
        int status = 0;
        ::waitpid(child_, &status, 0);
        child_ = -1;
        ::close(go_);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    pid_t child_ = -1;
    int go_ = -1;
};

struct Asked {
    bool right = false;
    Origin origin = Origin::memory;
    Counters counters;
    milliseconds took{0};
    std::vector<std::string> warnings;
};

Asked ask(const fs::path& root, milliseconds limit, FileSystem& files = posix_file_system(),
          const Request& request = sample_request()) {
    const LogCapture log;
    CacheOptions options;
    options.directory = root;
    options.lock_limit = limit;
    const auto start = Clock::now();
    Cache cache(options, files);
    const Result result =
        cache.find_or_build(sample_lookup(request), [&] { return sample_built(request); });
    Asked asked;
    asked.took = since(start);
    asked.right = result.entry && result.entry->artifact == sample_built(request).artifact;
    asked.origin = result.origin;
    asked.counters = cache.counters();
    asked.warnings = log.messages();
    return asked;
}

class Cells {
public:
    explicit Cells(SuiteRecord& record) : record_(record) {}
    void operator()(const std::string& name,
                    const std::function<void(const fs::path&, const Cells&)>& work) {
        name_ = name;
        record_.visit();
        const TemporaryDirectory directory(fastest_parent());
        const fs::path root = directory.path() / "root";
        work(root, *this);
        // I1 and I4: whatever happened, what is there is whole, and the next one need not compile
        // twice.
        for (const Listed& listed : DirectoryStore(root).list(true)) {
            require(listed.manifest.has_value(), "a broken entry is left: " + listed.reason);
        }
        static_cast<void>(ask(root, milliseconds(100)));
        require(ask(root, milliseconds(100)).origin == Origin::user_directory,
                "the second run after compiles again");
    }
    void require(bool holds, const std::string& what) const {
        if (!holds) {
            record_.violation(name_ + ": " + what);
        }
    }
    void count(const std::string& what, std::uint64_t more = 1) const { record_.count(what, more); }
    void note(const std::string& what, const std::string& text) const { record_.note(what, text); }

private:
    SuiteRecord& record_;
    std::string name_;
};

// How long after a kill the next holder has the lock: the best of some tries, since a machine that
// does other things delays any of them.
void killed_holder(const fs::path& root, const Cells& cells, const char* what,
                   const std::function<void()>& in_compile) {
    milliseconds best = milliseconds::max();
    for (int attempt = 0; attempt < kTries && best >= kNextHolder; ++attempt) {
        const fs::path fresh = root.string() + std::to_string(attempt);
        Holder holder(fresh, in_compile);
        Asked asked;
        Clock::time_point end;
        std::thread waiter([&] {
            asked = ask(fresh, std::chrono::seconds(20));
            end = Clock::now();
        });
        std::this_thread::sleep_for(milliseconds(120));
        const auto killed = Clock::now();
        holder.kill();
        waiter.join();
        best = std::min(best, std::chrono::duration_cast<milliseconds>(end - killed));
        cells.require(asked.right && asked.origin == Origin::compiled,
                      "the next holder is not served");
        cells.require(asked.counters.lock_waits == 1 && asked.counters.lock_timeouts == 0,
                      "the next holder did not wait for the lock and get it");
    }
    cells.require(best < kNextHolder,
                  fmt::format("the next holder had to wait {} ms", best.count()));
    cells.note(what, fmt::format("next holder after {} ms", best.count()));
}

class NoLocks final : public ForwardingFileSystem {
public:
    explicit NoLocks(int code) : code_(code) {}
    bool try_lock(int /*descriptor*/, std::uint64_t /*byte*/) override {
        throw std::system_error(code_, std::generic_category(), "fcntl");
    }

private:
    int code_;
};

bool mount_twice(const fs::path& from, const fs::path& to) {
    return enter_private_mounts() &&
           ::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

}  // namespace

TEST_CASE("whatever happens to a lock or its holder, others are served", "[lock_faults]") {
    SuiteRecord record(9, "lock faults", "", "cells");
    Cells cell(record);

    cell("the holder is killed", [](const fs::path& root, const Cells& cells) {
        killed_holder(root, cells, "holder killed", {});
    });
    cell("the holder is killed while a child that it forked lives on",
         [](const fs::path& root, const Cells& cells) {
             // Ends by itself: nobody knows its number.
             const auto fork_child = [] {
                 if (::fork() == 0) {
                     ::sleep(4);
                     leave(0);
                 }
             };
             killed_holder(root, cells, "with a child alive", fork_child);
         });
    cell("a child that no atfork handler saw keeps the lock",
         [](const fs::path& root, const Cells& cells) {
             Holder holder(root, [] {
                 if (::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr) == 0) {
                     ::sleep(2);
                     leave(0);
                 }
             });
             holder.kill();
             const Asked asked = ask(root, milliseconds(300));
             cells.require(asked.right && asked.origin == Origin::compiled, "not served");
             cells.require(asked.counters.lock_timeouts == 1, "the limit did not end the wait");
             cells.require(asked.warnings.size() == 1, "not one warning");
         });
    cell("the holder is stopped", [](const fs::path& root, const Cells& cells) {
        Holder holder(root);
        holder.stop();
        const Asked asked = ask(root, milliseconds(300));
        cells.require(asked.right && asked.origin == Origin::compiled, "not served");
        cells.require(asked.counters.lock_timeouts == 1, "the limit did not end the wait");
        cells.require(asked.warnings.size() == 1 &&
                          asked.warnings[0].find((root / "v1" / "lock").string()) !=
                              std::string::npos &&
                          asked.warnings[0].find("process") != std::string::npos,
                      "no warning that names the lock and its holder");
        cells.require(asked.took >= milliseconds(300), "it did not wait");
        holder.resume();
        cells.require(holder.finish() == 0, "the stopped holder fails when it goes on");
        cells.require(ask(root, milliseconds(300)).origin == Origin::user_directory,
                      "what was compiled is not there");
    });
    cell("the lock file is deleted while held", [](const fs::path& root, const Cells& cells) {
        Holder holder(root);
        fs::remove(root / "v1" / "lock");
        const Asked asked = ask(root, milliseconds(300));
        cells.require(asked.right, "not served");
        cells.require(holder.finish() == 0, "the holder fails");
    });
    cell("the lock file is replaced while held and waited for",
         [](const fs::path& root, const Cells& cells) {
             Holder holder(root);
             Asked asked;
             std::thread waiter([&] { asked = ask(root, std::chrono::seconds(20)); });
             std::this_thread::sleep_for(milliseconds(150));
             const fs::path other = root / "v1" / "other";
             write_file(other, "");
             fs::permissions(other, fs::perms(0600));
             fs::rename(other, root / "v1" / "lock");
             waiter.join();
             // The waiter locks what is there now; the holder's lock is on a file that is gone.
             cells.require(asked.right, "not served");
             cells.require(asked.took < std::chrono::seconds(10), "it went on waiting");
             cells.require(holder.finish() == 0, "the holder fails");
         });
    cell("the cache is removed while the lock is held",
         [](const fs::path& root, const Cells& cells) {
             Holder holder(root);
             fs::remove_all(root);
             cells.require(ask(root, milliseconds(300)).right, "not served");
             cells.require(holder.finish() == 0, "the holder fails");
         });
    for (const int code : {ENOLCK, EOPNOTSUPP, EINVAL, EIO, EPERM}) {
        cell(fmt::format("locks give errno {}", code),
             [&](const fs::path& root, const Cells& cells) {
                 NoLocks files(code);
                 const Asked asked = ask(root, std::chrono::seconds(20), files);
                 cells.require(asked.right && asked.origin == Origin::compiled, "not served");
                 cells.require(asked.counters.lock_unavailable == 1, "it is not counted");
                 cells.require(asked.warnings.size() == 1, "not one warning");
                 cells.require(asked.took < std::chrono::seconds(10), "it waited");
             });
    }
    cell("another key's lock is held", [](const fs::path& root, const Cells& cells) {
        Holder holder(root);
        const Asked asked =
            ask(root, std::chrono::seconds(20), posix_file_system(), sample_request("other"));
        cells.require(asked.right && asked.counters.lock_waits == 0, "it waited for another key");
        cells.require(holder.finish() == 0, "the holder fails");
    });
    cell("the holder's compile fails", [](const fs::path& root, const Cells& cells) {
        Cache cache({root, false});
        CHECK_THROWS_WITH(
            cache.find_or_build(sample_lookup(),
                                []() -> Built { throw std::runtime_error("does not compile"); }),
            "does not compile");
        const Asked asked = ask(root, std::chrono::seconds(20));
        cells.require(asked.right && asked.counters.lock_waits == 0, "the lock is left");
    });
    cell("two mounts of one directory", [](const fs::path& root, const Cells& cells) {
        fs::create_directory(root);
        fs::permissions(root, fs::perms(0700));
        const TemporaryDirectory second;
        Holder holder(root);
        const ChildResult result = run_in_child([&](std::ostream& out) {
            if (!mount_twice(root, second.path())) {
                out << "no mount";
                return;
            }
            const Asked asked = ask(second.path(), milliseconds(300));
            out << (asked.right && asked.counters.lock_timeouts == 1 ? "waited" : "did not wait");
        });
        if (result.output == "no mount") {
            cells.count("cells that need root");
        } else {
            cells.require(result.output == "waited", "the second mount's process " + result.output);
        }
        cells.require(holder.finish() == 0, "the holder fails");
    });
    record.check();
}
