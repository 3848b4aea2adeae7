#include "host/parallel_for.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using opforge::runtime::host::parallel_for;

namespace {

/// Each item once, and no thread beyond those asked for.
bool adds_up(std::int64_t items, int threads) {
    std::vector<std::atomic<int>> done(static_cast<std::size_t>(items));
    std::atomic<int> at_once{0};
    std::atomic<int> most{0};
    parallel_for(items, threads, [&](std::int64_t item) {
        const int now = ++at_once;
        for (int before = most; before < now && !most.compare_exchange_weak(before, now);) {
        }
        ++done[static_cast<std::size_t>(item)];
        --at_once;
    });
    for (const std::atomic<int>& count : done) {
        if (count != 1) {
            return false;
        }
    }
    return most <= threads;
}

}  // namespace

TEST_CASE("every item is done once, on at most as many threads as asked for", "[runtime]") {
    for (const std::int64_t items : {0, 1, 2, 7, 1000}) {
        for (const int threads : {1, 2, 5, 16}) {
            CAPTURE(items, threads);
            CHECK(adds_up(items, threads));
        }
    }
}

TEST_CASE("callers share the workers and none waits for another's items", "[runtime]") {
    std::atomic<int> right{0};
    {
        std::vector<std::jthread> callers;
        for (int i = 0; i < 6; ++i) {
            callers.emplace_back([&] {
                for (int round = 0; round < 50; ++round) {
                    right += adds_up(37, 4) ? 1 : 0;
                }
            });
        }
    }
    CHECK(right == 6 * 50);
}

TEST_CASE("an item may run a loop of its own", "[runtime]") {
    std::atomic<int> inner{0};
    parallel_for(4, 4, [&](std::int64_t) { parallel_for(8, 4, [&](std::int64_t) { ++inner; }); });
    CHECK(inner == 32);
}

TEST_CASE("the first exception ends the loop and reaches the caller", "[runtime]") {
    std::atomic<int> begun{0};
    CHECK_THROWS_AS(parallel_for(100000, 4,
                                 [&](std::int64_t) {
                                     ++begun;
                                     throw std::runtime_error("an item failed");
                                 }),
                    std::runtime_error);
    CHECK(begun <= 4);
    CHECK(adds_up(100, 4));
}

TEST_CASE("a forked child has workers of its own", "[runtime]") {
#ifdef __SANITIZE_THREAD__
    std::cout << "SKIPPED: ThreadSanitizer allows a forked child no threads\n";
    return;
#endif
    REQUIRE(adds_up(100, 4));  // the parent's workers, which the child does not have
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::_exit(adds_up(1000, 4) ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}
