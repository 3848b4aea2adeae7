// One compile of a key at a time among processes; and whatever happens to a lock or its holder, the
// op is served.
#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/child_process.hpp"
#include "support/faulty_file_system.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <future>
#include <iostream>
#include <ostream>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;
using namespace std::chrono_literals;

namespace {

class Workers {
public:
    [[nodiscard]] std::vector<std::string> arguments(const std::string& program, int compile_ms,
                                                     std::vector<std::string> more = {}) const {
        std::vector<std::string> all = {CACHE_WORKER, root().string(), program,
                                        std::to_string(compile_ms), log()};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    // Started and not waited for.
    [[nodiscard]] pid_t start(const std::vector<std::string>& arguments) const {
        const pid_t child = ::fork();
        if (child == 0) {
            std::vector<char*> pointers;
            for (const std::string& argument : arguments) {
                pointers.push_back(const_cast<char*>(argument.c_str()));
            }
            pointers.push_back(nullptr);
            ::execv(pointers[0], pointers.data());
            ::_exit(127);
        }
        return child;
    }
    void wait_for_compiles(std::size_t count) const {
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        while (compiles() < count) {
            if (std::chrono::steady_clock::now() > deadline) {
                throw std::runtime_error("no worker began to compile");
            }
            std::this_thread::sleep_for(2ms);
        }
    }
    [[nodiscard]] std::size_t compiles() const {
        if (!std::filesystem::exists(log())) {
            return 0;
        }
        const std::string text = test::read_file(log());
        return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    }
    [[nodiscard]] std::filesystem::path root() const { return directory_.path() / "root"; }
    [[nodiscard]] std::string log() const { return directory_.path() / "log"; }

private:
    test::TemporaryDirectory directory_;
};

// A compile in another thread's cache of the same directory, which lasts until it is let go.
class Holder {
public:
    explicit Holder(const std::filesystem::path& root) : cache_({root, false}) {
        thread_ = std::thread([this] {
            static_cast<void>(cache_.find_or_build(sample_lookup(), [this] {
                holding_.set_value();
                go_.get_future().wait();
                return sample_built();
            }));
        });
        holding_.get_future().wait();
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() { finish(); }
    void finish() {
        if (thread_.joinable()) {
            go_.set_value();
            thread_.join();
        }
    }

private:
    Cache cache_;
    std::promise<void> holding_;
    std::promise<void> go_;
    std::thread thread_;
};

CacheOptions limited(const std::filesystem::path& root, std::chrono::milliseconds limit) {
    CacheOptions options;
    options.directory = root;
    options.lock_limit = limit;
    return options;
}

void end(pid_t process, int signal) {
    ::kill(process, signal);
    int status = 0;
    REQUIRE(::waitpid(process, &status, 0) == process);
}

}  // namespace

TEST_CASE("processes that miss one key at once compile it once", "[key_lock]") {
    const Workers workers;
    std::vector<std::future<test::ChildResult>> results;
    for (int i = 0; i < 8; ++i) {
        results.push_back(std::async(
            std::launch::async, [&] { return test::run_program(workers.arguments("one", 100)); }));
    }
    int compiled = 0;
    for (auto& result : results) {
        const test::ChildResult child = result.get();
        CHECK(child.exit_code == 0);
        compiled += child.output == "compiled 0\n" ? 1 : 0;
        CHECK((child.output == "compiled 0\n" || child.output == "user_directory 0\n"));
    }
    CHECK(compiled == 1);
    CHECK(workers.compiles() == 1);
    CHECK(std::filesystem::is_empty(workers.root() / "v1" / "tmp"));
}

TEST_CASE("a process that compiles one key does not hold up another key", "[key_lock]") {
    const test::TemporaryDirectory directory;
    Holder holder(directory.path());
    const Request other = test::sample_request("other");
    Cache cache(limited(directory.path(), 60s));
    CHECK(cache.find_or_build(sample_lookup(other), [&] { return sample_built(other); }).origin ==
          Origin::compiled);
    CHECK(cache.counters().lock_waits == 0);
}

TEST_CASE("the lock of a process that was killed is free at once", "[key_lock]") {
    const Workers workers;
    const pid_t holder = workers.start(workers.arguments("one", 60000));
    workers.wait_for_compiles(1);
    end(holder, SIGKILL);
    // Well within the limit: else the output would tell of a timeout.
    CHECK(test::run_program(workers.arguments("one", 0, {"--limit-ms", "60000"})).output ==
          "compiled 0\n");
}

TEST_CASE("a child that the holder forked does not keep its lock", "[key_lock]") {
    const Workers workers;
    const pid_t holder = workers.start(workers.arguments("one", 60000, {"--fork-child"}));
    workers.wait_for_compiles(1);
    std::this_thread::sleep_for(100ms);  // for the fork, which comes after the line
    end(holder, SIGKILL);
    CHECK(test::run_program(workers.arguments("one", 0, {"--limit-ms", "60000"})).output ==
          "compiled 0\n");
}

TEST_CASE("a stopped holder is waited for until the limit, and then done without", "[key_lock]") {
    const Workers workers;
    const pid_t holder = workers.start(workers.arguments("one", 60000));
    workers.wait_for_compiles(1);
    ::kill(holder, SIGSTOP);
    const test::ChildResult child =
        test::run_program(workers.arguments("one", 0, {"--limit-ms", "200"}));
    CHECK(child.exit_code == 0);
    CHECK_THAT(child.output, Catch::Contains("compiled 1\n") &&
                                 Catch::Contains("process " + std::to_string(holder)) &&
                                 Catch::Contains((workers.root() / "v1" / "lock").string()));
    end(holder, SIGKILL);
}

TEST_CASE("a lock file that is deleted or replaced while held keeps nobody waiting", "[key_lock]") {
    for (const bool replaced : {false, true}) {
        const test::TemporaryDirectory directory;
        Holder holder(directory.path());
        const std::filesystem::path lock = directory.path() / "v1" / "lock";
        std::filesystem::remove(lock);
        if (replaced) {
            test::write_file(lock, "");
            std::filesystem::permissions(lock, std::filesystem::perms(0600));
        }
        Cache cache(limited(directory.path(), 60s));
        CHECK(cache.find_or_build(sample_lookup(), [] { return sample_built(); }).origin ==
              Origin::compiled);
        CHECK(cache.counters().lock_timeouts == 0);
        holder.finish();
        CHECK(DirectoryStore(directory.path()).list(true).size() == 1);
    }
}

TEST_CASE("where the file system has no locks, compiling goes on, with one warning", "[key_lock]") {
    for (const int code : {ENOLCK, EINVAL, EOPNOTSUPP}) {
        const test::TemporaryDirectory directory;
        const test::LogCapture log;
        test::FaultyFileSystem files;
        files.fail_locks(code);
        Cache cache({directory.path(), false}, files);
        for (const char* program : {"one", "two"}) {
            const Request request = test::sample_request(program);
            CHECK(cache.find_or_build(sample_lookup(request), [&] { return sample_built(request); })
                      .origin == Origin::compiled);
        }
        CHECK(cache.counters().lock_unavailable == 2);
        CHECK(cache.counters().published == 2);
        CHECK(files.open_descriptors() == 0);
        REQUIRE(log.messages().size() == 1);
        CHECK_THAT(log.messages()[0], Catch::Contains((directory.path() / "v1" / "lock").string()));
    }
}

TEST_CASE("a lock file that others could hold is not waited for", "[key_lock]") {
    const test::TemporaryDirectory directory;
    const test::LogCapture log;
    Cache first({directory.path(), false});
    static_cast<void>(first.find_or_build(sample_lookup(), [] { return sample_built(); }));
    const std::filesystem::path lock = directory.path() / "v1" / "lock";
    const auto make_insecure = GENERATE(0, 1, 2);
    std::filesystem::remove(lock);
    if (make_insecure == 0) {
        test::write_file(lock, "");
        std::filesystem::permissions(lock, std::filesystem::perms(0666));
    } else if (make_insecure == 1) {
        REQUIRE(::mkfifo(lock.c_str(), 0600) == 0);
    } else {
        std::filesystem::create_symlink("elsewhere", lock);
    }
    const Request other = test::sample_request("other");
    Cache cache({directory.path(), false});
    CHECK(cache.find_or_build(sample_lookup(other), [&] { return sample_built(other); }).origin ==
          Origin::compiled);
    CHECK(cache.counters().lock_unavailable == 1);
    REQUIRE(log.messages().size() == 1);
    CHECK_THAT(log.messages()[0], Catch::Contains(lock.string()));
    CHECK_FALSE(std::filesystem::exists(directory.path() / "v1" / "elsewhere"));
}

TEST_CASE("after two seconds a waiter tells whom it waits for, and how long it will",
          "[key_lock]") {
    const test::TemporaryDirectory directory;
    Holder holder(directory.path());
    std::vector<LockWait> waits;
    CacheOptions options = limited(directory.path(), 60s);
    options.on_wait = [&](const LockWait& wait) {
        waits.push_back(wait);
        holder.finish();
    };
    Cache cache(options);
    CHECK(cache.find_or_build(sample_lookup(), [] { return sample_built(); }).origin ==
          Origin::user_directory);
    REQUIRE(waits.size() == 1);
    CHECK(waits[0].waited >= 2s);
    CHECK(waits[0].limit == 60s);
    CHECK(waits[0].lock == directory.path() / "v1" / "lock");
    CHECK_THAT(waits[0].holder, Catch::Contains("process " + std::to_string(::getpid())) &&
                                    Catch::Contains("quantizer/fake_quantize for sm_90"));
    CHECK(cache.counters().lock_waits == 1);
    CHECK(cache.counters().lock_hits == 1);
    CHECK(cache.counters().compiles == 0);
}

TEST_CASE("without somebody to tell, the wait is logged", "[key_lock]") {
    const test::TemporaryDirectory directory;
    Holder holder(directory.path());
    const test::LogCapture log;
    Cache cache(limited(directory.path(), 2500ms));
    CHECK(cache.find_or_build(sample_lookup(), [] { return sample_built(); }).origin ==
          Origin::compiled);
    REQUIRE(log.messages().size() == 2);
    CHECK_THAT(log.messages()[0], Catch::Contains("is being compiled by process") &&
                                      Catch::Contains("quantizer/fake_quantize for sm_90"));
    CHECK_THAT(log.messages()[1], Catch::Contains("now compiles it itself"));
}

TEST_CASE("a hit touches no lock", "[key_lock]") {
    const test::TemporaryDirectory directory;
    const Built built = sample_built();
    DirectoryStore(directory.path()).publish(built.manifest, built.artifact);
    Cache cache({directory.path(), false});
    CHECK(cache.find_or_build(sample_lookup(), [] { return sample_built(); }).origin ==
          Origin::user_directory);
    CHECK_FALSE(std::filesystem::exists(directory.path() / "v1" / "lock"));
}

TEST_CASE("on a network file system the lock is this machine's own", "[key_lock]") {
    const test::TemporaryDirectory directory;
    const test::TemporaryDirectory runtime(test::fastest_parent());
    test::FaultyFileSystem files;
    if (files.device_of(directory.path()) == files.device_of(runtime.path())) {
        std::cout << "SKIPPED: there is no second file system here to stand for a local one\n";
        return;
    }
    files.set_local_device(files.device_of(runtime.path()));
    files.set_file_system_type(0x6969);
    const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
        ::setenv("XDG_RUNTIME_DIR", runtime.path().c_str(), 1);
        Cache cache({directory.path(), false}, files);
        static_cast<void>(cache.find_or_build(sample_lookup(), [] { return sample_built(); }));
        out << cache.counters().lock_unavailable << cache.counters().published;
    });
    CHECK(child.output == "01");
    CHECK_FALSE(std::filesystem::exists(directory.path() / "v1" / "lock"));
    std::size_t locks = 0;
    for (const auto& file :
         std::filesystem::directory_iterator(runtime.path() / "opforge" / "locks")) {
        locks += file.path().extension() == ".lock" ? 1 : 0;
    }
    CHECK(locks == 1);
}

TEST_CASE("where no place is local, the op is compiled without a lock and told why", "[key_lock]") {
    const test::TemporaryDirectory directory;
    const test::TemporaryDirectory runtime;
    std::filesystem::permissions(runtime.path(), std::filesystem::perms(0777));
    test::FaultyFileSystem files;
    files.set_file_system_type(0x6969);
    const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
        ::setenv("XDG_RUNTIME_DIR", runtime.path().c_str(), 1);
        const test::LogCapture log;
        Cache cache({directory.path(), false}, files);
        static_cast<void>(cache.find_or_build(sample_lookup(), [] { return sample_built(); }));
        out << cache.counters().lock_unavailable << cache.counters().published << '\n';
        for (const std::string& message : log.messages()) {
            out << message << '\n';
        }
    });
    CHECK_THAT(child.output, Catch::StartsWith("11\n"));
    CHECK_THAT(child.output, Catch::Contains("no local place serves for the lock") &&
                                 Catch::Contains("XDG_RUNTIME_DIR") &&
                                 Catch::Contains("its mode 0777") &&
                                 Catch::Contains("is on a network file system"));
}

TEST_CASE("a child forked in the middle of a compile compiles for itself", "[key_lock]") {
    const test::TemporaryDirectory directory;
    for (const bool memory_only : {true, false}) {
        CacheOptions options = limited(directory.path(), 60s);
        options.memory_only = memory_only;
        Cache cache(options);
        std::promise<void> holding;
        std::promise<void> go;
        std::thread compiling([&] {
            static_cast<void>(cache.find_or_build(sample_lookup(), [&] {
                holding.set_value();
                go.get_future().wait();
                return sample_built();
            }));
        });
        holding.get_future().wait();
        auto forked = std::async(std::launch::async, [&] {
            return test::run_in_child([&](std::ostream& out) {
                const Result result =
                    cache.find_or_build(sample_lookup(), [] { return sample_built(); });
                out << to_string(result.origin);
            });
        });
        // With a directory the child waits for its parent as for any process; without one it has
        // nobody to wait for.
        if (memory_only) {
            CHECK(forked.get().output == "compiled");
            go.set_value();
        } else {
            std::this_thread::sleep_for(100ms);
            go.set_value();
            CHECK(forked.get().output == "user_directory");
        }
        compiling.join();
    }
}

TEST_CASE("a fork inside a compile leaves parent and child able to go on", "[key_lock]") {
    const test::TemporaryDirectory directory;
    Cache cache({directory.path(), false});
    std::string child_says;
    const Result result = cache.find_or_build(sample_lookup(), [&] {
        child_says =
            test::run_in_child([&](std::ostream& out) {
                const Request other = test::sample_request("other");
                out << to_string(
                    cache.find_or_build(sample_lookup(other), [&] { return sample_built(other); })
                        .origin);
            }).output;
        return sample_built();
    });
    CHECK(result.origin == Origin::compiled);
    CHECK(child_says == "compiled");
    CHECK(DirectoryStore(directory.path()).list(true).size() == 2);
}
