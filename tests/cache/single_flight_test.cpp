// Threads that ask for one key at once: one of them compiles, all get what came of it.
#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;

namespace {

constexpr int kThreads = 16;

// Each thread's result or exception.
struct Answer {
    Result result;
    std::exception_ptr error;
};

// Asks from kThreads threads; `build` is held until all the others wait for it.
std::vector<Answer> ask_at_once(Cache& cache, const std::function<Built()>& build) {
    const auto patient = [&] {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (cache.counters().shared_waits < kThreads - 1 &&
               std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return build();
    };
    std::vector<Answer> answers(kThreads);
    std::vector<std::thread> threads;
    for (Answer& answer : answers) {
        threads.emplace_back([&] {
            try {
                answer.result = cache.find_or_build(sample_lookup(), patient);
            } catch (...) {
                answer.error = std::current_exception();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    return answers;
}

}  // namespace

TEST_CASE("sixteen threads that ask for one key compile once", "[single_flight]") {
    const test::TemporaryDirectory directory;
    Cache cache({directory.path(), false});
    std::atomic<int> builds{0};
    const auto answers = ask_at_once(cache, [&] {
        ++builds;
        return sample_built();
    });
    CHECK(builds == 1);
    for (const Answer& answer : answers) {
        REQUIRE(answer.result.entry);
        CHECK(answer.result.entry == answers[0].result.entry);
    }
    const Counters counters = cache.counters();
    CHECK(counters.compiles == 1);
    CHECK(counters.misses == 1);
    CHECK(counters.published == 1);
    CHECK(counters.shared_waits == kThreads - 1);
}

TEST_CASE("a failing compile reaches every waiter and frees the slot", "[single_flight]") {
    Cache cache({std::nullopt, true});
    std::atomic<int> builds{0};
    const auto answers = ask_at_once(cache, [&]() -> Built {
        ++builds;
        throw std::runtime_error("does not compile");
    });
    for (const Answer& answer : answers) {
        REQUIRE(answer.error);
        CHECK_THROWS_WITH(std::rethrow_exception(answer.error), "does not compile");
    }
    const Counters counters = cache.counters();
    CHECK(builds == 1);
    CHECK(counters.failed_compiles == 1);
    CHECK(counters.shared_waits == kThreads - 1);
    CHECK(counters.compiles == 0);

    CHECK(cache.find_or_build(sample_lookup(), [] { return sample_built(); }).origin ==
          Origin::compiled);
}

TEST_CASE("a compile of one key does not hold up another", "[single_flight]") {
    Cache cache({std::nullopt, true});
    const Request other = test::sample_request("other");
    std::promise<void> other_done;
    std::thread first([&] {
        static_cast<void>(cache.find_or_build(sample_lookup(), [&] {
            // Would wait for ever if the second had to wait for this one.
            other_done.get_future().wait();
            return sample_built();
        }));
    });
    CHECK(cache.find_or_build(sample_lookup(other), [&] { return sample_built(other); }).origin ==
          Origin::compiled);
    other_done.set_value();
    first.join();
}

TEST_CASE("policy exact compiles for each toolchain by itself", "[single_flight]") {
    Cache cache({std::nullopt, true});
    for (const int minor : {0, 1}) {
        const Toolchain toolchain = test::sample_toolchain(13, minor);
        const Result result =
            cache.find_or_build(sample_lookup(test::sample_request(), toolchain),
                                [&] { return sample_built(test::sample_request(), toolchain); });
        CHECK(result.origin == Origin::compiled);
        CHECK(result.entry->manifest.toolchain == toolchain);
    }
}

TEST_CASE("a waiter that cannot use the other's entry compiles its own", "[single_flight]") {
    Cache cache({std::nullopt, true});
    const auto lookup = [](int major) {
        Lookup any = sample_lookup();
        any.toolchain.reset();
        any.policy = Policy::compatible;
        any.acceptable = [major](const Manifest& manifest) {
            return manifest.toolchain.major == major;
        };
        return any;
    };
    const auto build = [](int major) {
        return sample_built(test::sample_request(), test::sample_toolchain(major));
    };
    std::promise<void> flying;
    std::thread first([&] {
        const Result result = cache.find_or_build(lookup(12), [&] {
            flying.set_value();
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            return build(12);
        });
        if (result.entry->manifest.toolchain.major != 12) {
            std::terminate();
        }
    });
    flying.get_future().wait();
    const Result result = cache.find_or_build(lookup(13), [&] { return build(13); });
    first.join();
    CHECK(result.origin == Origin::compiled);
    CHECK(result.entry->manifest.toolchain.major == 13);
    CHECK(cache.counters().compiles == 2);
}

TEST_CASE("threads with two caches on one directory agree on one entry", "[single_flight]") {
    const test::TemporaryDirectory directory;
    for (int round = 0; round < 8; ++round) {
        const Request request = test::sample_request("round" + std::to_string(round));
        Cache one({directory.path(), false});
        Cache two({directory.path(), false});
        std::vector<std::thread> threads;
        std::atomic<int> served{0};
        for (Cache* cache : {&one, &two, &one, &two}) {
            threads.emplace_back([&, cache] {
                const Result result = cache->find_or_build(sample_lookup(request),
                                                           [&] { return sample_built(request); });
                served += result.entry && result.entry->artifact == sample_built().artifact ? 1 : 0;
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        CHECK(served == 4);
        CHECK(one.counters().compiles + two.counters().compiles <= 2);
        CHECK(one.counters().publish_failures + two.counters().publish_failures == 0);
    }
    DirectoryStore store(directory.path());
    CHECK(store.list(true).size() == 8);
    for (const Listed& listed : store.list(true)) {
        CHECK(listed.manifest.has_value());
    }
}
