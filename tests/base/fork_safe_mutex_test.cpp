#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/log_sink.hpp>

#include "support/child_process.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <ostream>
#include <thread>

using namespace opforge;

TEST_CASE("a mutex that another thread holds at every moment is free in forked children",
          "[base]") {
    ForkSafeMutex outer;
    ForkSafeMutex leaf(ForkOrder::leaf);
    std::atomic<bool> stop{false};
    std::thread holder([&] {
        while (!stop) {
            const std::lock_guard first(outer);
            const std::lock_guard second(leaf);
        }
    });
    for (int round = 0; round < 50; ++round) {
        // Would hang for ever if fork() had copied a locked mutex.
        const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
            const std::lock_guard first(outer);
            const std::lock_guard second(leaf);
            out << "free";
        });
        CHECK(child.output == "free");
    }
    stop = true;
    holder.join();
}

TEST_CASE("forks are counted in the child alone", "[base]") {
    const std::uint64_t here = fork_generation();
    const test::ChildResult child = test::run_in_child([](std::ostream& out) {
        out << fork_generation() << " ";
        out << test::run_in_child([](std::ostream& inner) { inner << fork_generation(); }).output;
    });
    CHECK(child.output == std::to_string(here + 1) + " " + std::to_string(here + 2));
    CHECK(fork_generation() == here);
}

TEST_CASE("a child forked while other threads log can log", "[base]") {
    const test::ChildResult program = test::run_in_child([](std::ostream& out) {
        set_log_sink([](LogLevel, std::string_view) {});
        std::atomic<bool> stop{false};
        std::thread logger([&] {
            while (!stop) {
                log(LogLevel::error, "again");
            }
        });
        for (int round = 0; round < 50; ++round) {
            out << test::run_in_child([](std::ostream& inner) {
                       log(LogLevel::error, "child");
                       inner << '.';
                   }).output;
        }
        stop = true;
        logger.join();
    });
    CHECK(program.output == std::string(50, '.'));
}
