// Several processes on one directory: every one is served, and what is seen is whole.
#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/leave.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;

namespace {

// A process that runs `work` and exits with 0 where it gave true. It leaves by _exit: nothing of
// the test's runs twice.
pid_t start(const std::function<bool()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        bool good = false;
        try {
            good = work();
        } catch (...) {
            good = false;
        }
        opforge::test::leave(good ? 0 : 1);
    }
    return child;
}

int status_of(pid_t child) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}

void check_all_sound(const std::filesystem::path& root) {
    for (const Listed& listed : DirectoryStore(root).list(true)) {
        INFO(listed.reason);
        CHECK(listed.manifest.has_value());
    }
}

}  // namespace

TEST_CASE("processes that publish one key at once all succeed and leave one entry", "[processes]") {
    const test::TemporaryDirectory directory;
    std::array<int, 2> gate{};
    REQUIRE(::pipe(gate.data()) == 0);
    std::vector<pid_t> children;
    for (std::size_t i = 0; i < 4; ++i) {
        children.push_back(start([&, i] {
            // Each has bytes of its own under the one key, so that a mixture would show.
            const Built built =
                sample_built(test::sample_request(), test::sample_toolchain(), 20000 + i);
            Cache cache({directory.path(), false});
            ::close(gate[1]);
            char byte = 0;
            static_cast<void>(::read(gate[0], &byte, 1));  // returns when the parent closes its end
            for (int round = 0; round < 5; ++round) {
                static_cast<void>(cache.rebuild(sample_lookup(), [&] { return built; }));
                DirectoryStore(directory.path()).publish(built.manifest, built.artifact);
            }
            return cache.counters().publish_failures == 0;
        }));
    }
    ::close(gate[0]);
    ::close(gate[1]);
    for (const pid_t child : children) {
        CHECK(status_of(child) == 0);
    }
    CHECK(DirectoryStore(directory.path()).list(true).size() == 1);
    check_all_sound(directory.path());
    CHECK(std::filesystem::is_empty(directory.path() / "v1" / "tmp"));
    CHECK_FALSE(std::filesystem::exists(directory.path() / "v1" / "quarantine"));
}

TEST_CASE("a second process finds what the first one compiled", "[processes]") {
    const test::TemporaryDirectory directory;
    const auto ask = [&](Origin expected) {
        return status_of(start([&] {
            Cache cache({directory.path(), false});
            return cache.find_or_build(sample_lookup(), [] { return sample_built(); }).origin ==
                   expected;
        }));
    };
    CHECK(ask(Origin::compiled) == 0);
    CHECK(ask(Origin::user_directory) == 0);
}

TEST_CASE("a process killed while it publishes leaves nothing broken", "[processes]") {
    const test::TemporaryDirectory directory;
    for (int round = 0; round < 20; ++round) {
        const pid_t child = start([&] {
            for (int i = 0;; ++i) {
                const Built built = sample_built(test::sample_request(std::to_string(i % 3)),
                                                 test::sample_toolchain(), 5000);
                DirectoryStore(directory.path()).replace(built.manifest, built.artifact);
            }
            return true;
        });
        std::this_thread::sleep_for(std::chrono::microseconds(500 + 1700 * round));
        ::kill(child, SIGKILL);
        CHECK(WIFSIGNALED(status_of(child)));
        check_all_sound(directory.path());
    }
    Cache cache({directory.path(), false});
    CHECK(cache.find_or_build(sample_lookup(), [] { return sample_built(); }).entry);
    check_all_sound(directory.path());
}
