// Suite 14: clocks that are wrong, jump, or tick coarsely. What was used last goes last, nobody
// waits for a time that does not come, and stamps are put right.
#include "memory_disk.hpp"
#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <chrono>
#include <functional>
#include <set>
#include <string>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr const char* kRoot = "/disk/root";
constexpr hours kTenYears{24 * 3653};

Request request_of(int key) {
    return sample_request(fmt::format("p{}", key));
}

class Machine {
public:
    explicit Machine(nanoseconds granularity) { disk_.set_granularity(granularity); }
    MemoryDisk& disk() { return disk_; }
    void publish(int key) {
        const Built built = sample_built(request_of(key));
        DirectoryStore(kRoot, disk_).publish(built.manifest, built.artifact);
    }
    /// A process of its own uses the entry; true where it was there.
    bool use(int key) {
        Cache cache({kRoot, false}, disk_);
        return cache.find(sample_lookup(request_of(key))).entry != nullptr;
    }
    /// Down to so many entries; what is left.
    std::set<int> prune(std::uint64_t entries, int keys) {
        Limits limits;
        limits.max_entries = entries;
        static_cast<void>(DirectoryStore(kRoot, disk_).prune(false, limits));
        std::set<int> left;
        for (int key = 0; key < keys; ++key) {
            DirectoryStore store(kRoot, disk_);
            if (store.find(request_of(key), sample_toolchain(), {}).entry) {
                left.insert(key);
            }
        }
        return left;
    }

private:
    MemoryDisk disk_{"disk"};
};

struct Cell {
    const char* name;
    std::function<std::string(Machine&)> run;  // what went wrong
};

std::string expect(const std::set<int>& left, const std::set<int>& expected) {
    if (left == expected) {
        return {};
    }
    std::string text = "left are";
    for (const int key : left) {
        text += ' ' + std::to_string(key);
    }
    return text;
}

// Three entries, a day apart; the first one is used again a day after the last.
void live(Machine& machine) {
    for (int key = 0; key < 3; ++key) {
        machine.publish(key);
        machine.disk().move_clock(hours(24));
    }
    machine.use(0);
}

std::vector<Cell> cells() {
    return {
        {"a clock that is right",
         [](Machine& machine) {
             live(machine);
             return expect(machine.prune(2, 3), {0, 2});
         }},
        {"a clock ten years ahead",
         [](Machine& machine) {
             machine.disk().move_clock(kTenYears);
             live(machine);
             return expect(machine.prune(2, 3), {0, 2});
         }},
        {"a clock ten years behind",
         [](Machine& machine) {
             machine.disk().move_clock(-kTenYears);
             live(machine);
             return expect(machine.prune(2, 3), {0, 2});
         }},
        {"a clock that jumps ten years ahead after use",
         [](Machine& machine) {
             live(machine);
             machine.disk().move_clock(kTenYears);
             return expect(machine.prune(2, 3), {0, 2});
         }},
        {"a clock that is set right by ten years after a wrong stamp",
         [](Machine& machine) {
             // Entry 1 was stamped by a clock ten years ahead: unused since, it must not outlive
             // those that are used.
             live(machine);
             machine.disk().move_clock(kTenYears);
             machine.use(1);
             machine.disk().move_clock(-kTenYears);
             machine.use(0);
             machine.use(2);
             return expect(machine.prune(2, 3), {0, 2});
         }},
        {"a stamp of the future is put right by use",
         [](Machine& machine) {
             live(machine);
             machine.disk().move_clock(kTenYears);
             machine.use(1);
             machine.disk().move_clock(-kTenYears);
             machine.use(1);  // now
             machine.disk().move_clock(hours(2));
             machine.use(2);
             machine.use(0);
             machine.disk().move_clock(hours(2));
             machine.use(1);
             return expect(machine.prune(1, 3), {1});
         }},
        {"a clock that jumps back an hour while entries are used",
         [](Machine& machine) {
             live(machine);
             machine.disk().move_clock(hours(-1));
             machine.use(2);
             return expect(machine.prune(2, 3), {0, 2});
         }},
        {"a staging folder of the future is not taken for an old one, and goes in the end",
         [](Machine& machine) -> std::string {
             machine.publish(0);
             const int root = machine.disk().open_root("/disk/root/v1/tmp");
             machine.disk().make_directory(root, "stray");
             machine.disk().close(root);
             machine.disk().move_clock(-kTenYears);
             DirectoryStore(kRoot, machine.disk()).sweep();
             const auto names = [&] {
                 const int again = machine.disk().open_root("/disk/root/v1/tmp");
                 const std::size_t count = machine.disk().list(again).size();
                 machine.disk().close(again);
                 return count;
             };
             machine.disk().move_clock(kTenYears + hours(2));
             DirectoryStore(kRoot, machine.disk()).sweep();
             return names() == 0 ? "" : "it stays for ever";
         }},
        {"a compile under a clock that jumps",
         [](Machine& machine) -> std::string {
             Cache cache({kRoot, false}, machine.disk());
             const Result result = cache.find_or_build(sample_lookup(request_of(0)), [&] {
                 machine.disk().move_clock(-kTenYears);
                 return sample_built(request_of(0));
             });
             return result.entry && machine.use(0) ? "" : "not kept";
         }},
        {"a stamp is written at most once an hour",
         [](Machine& machine) -> std::string {
             machine.publish(0);
             machine.disk().move_clock(hours(2));
             machine.disk().settle();
             for (int i = 0; i < 5; ++i) {
                 machine.use(0);
             }
             const auto calls = machine.disk().calls();
             const auto stamps = calls.find("set_times");
             return stamps != calls.end() && stamps->second == 1
                        ? ""
                        : "it was stamped another number of times";
         }},
    };
}

}  // namespace

TEST_CASE("clocks that jump or are wrong evict nothing early and hang nobody", "[clock]") {
    const LogCapture quiet;
    SuiteRecord record(14, "clock", "", "cells");
    for (const nanoseconds granularity :
         {nanoseconds(1), nanoseconds(seconds(1)), nanoseconds(seconds(2))}) {
        for (const Cell& cell : cells()) {
            Machine machine(granularity);
            const std::string fault = cell.run(machine);
            record.visit();
            if (!fault.empty()) {
                record.violation(std::string(cell.name) + ", times in steps of " +
                                 std::to_string(granularity.count()) + " ns: " + fault);
            }
        }
    }
    record.check();
}
