// Suite 22: what reaches the kernel, counted. An fsync or an open more is a change that somebody
// has to mean: the numbers are exact.
#include "suite_record.hpp"
#include "traced_process.hpp"

#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <functional>
#include <iostream>
#include <string>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

struct Golden {
    std::size_t syncs;
    std::size_t renames;
    std::size_t opens;
};

struct Case {
    const char* name;
    Golden golden;
    std::function<void(const std::filesystem::path&)> prepare;
    std::function<void(const std::filesystem::path&)> work;
};

void publish(const std::filesystem::path& root, const Request& request) {
    const Built built = sample_built(request);
    DirectoryStore(root).publish(built.manifest, built.artifact);
}

void build_sample(const std::filesystem::path& root) {
    Cache cache({root, false});
    static_cast<void>(cache.find_or_build(sample_lookup(), [] { return sample_built(); }));
}

// An entry of another program in the sample's shard: the folders are there, the entry is not.
Request neighbour() {
    const std::string shard = want_digest(sample_request()).hex().substr(0, 2);
    for (int i = 0;; ++i) {
        Request request = sample_request("neighbour" + std::to_string(i));
        if (want_digest(request).hex().starts_with(shard)) {
            return request;
        }
    }
}

std::vector<Case> cases() {
    return {
        // Two files, their folder, the shard; and what holds each folder that is made on the way.
        {"first miss on an empty disk", {10, 1, 38}, [](const auto&) {}, build_sample},
        // Two files, their folder, the shard.
        {"miss", {4, 1, 31}, [](const auto& root) { publish(root, neighbour()); }, build_sample},
        {"warm hit",
         {0, 0, 3},
         [](const auto& root) { publish(root, sample_request()); },
         [](const auto& root) {
             Cache cache({root, false});
             static_cast<void>(cache.find(sample_lookup()));
         }},
        {"idle prune",
         {0, 0, 19},
         [](const auto& root) { publish(root, sample_request()); },
         [](const auto& root) { static_cast<void>(DirectoryStore(root).prune(false)); }},
    };
}

Golden count(const TracedRun& run) {
    Golden counts{};
    for (const TracedCall& call : run.calls) {
        counts.syncs += call.name == "fsync" || call.name == "fdatasync" ? 1 : 0;
        counts.renames += call.name.starts_with("rename") ? 1 : 0;
        counts.opens += call.name.starts_with("open") ? 1 : 0;
    }
    return counts;
}

}  // namespace

TEST_CASE("a miss, a warm hit and an idle prune make just so many system calls", "[budget]") {
    if (const std::string reason = why_no_tracing(); !reason.empty()) {
        std::cout << "SKIPPED: " << reason << '\n';
        return;
    }
    const LogCapture quiet;
    SuiteRecord record(22, "syscall budget", "", "system calls");
    for (const Case& one : cases()) {
        const TemporaryDirectory directory(fastest_parent());
        const auto root = directory.path() / "root";
        one.prepare(root);
        const TracedRun run = run_traced([&] {
            one.work(root);
            return std::string();
        });
        REQUIRE(run.exit_code == 0);
        const Golden counts = count(run);
        record.visit(run.calls.size() + run.other_calls.size());
        record.note(one.name, fmt::format("{} fsync, {} rename, {} open, {} in all", counts.syncs,
                                          counts.renames, counts.opens,
                                          run.calls.size() + run.other_calls.size()));
        if (counts.syncs != one.golden.syncs || counts.renames != one.golden.renames ||
            counts.opens != one.golden.opens) {
            record.violation(fmt::format("{}: {} fsync, {} rename, {} open; expected {}, {}, {}",
                                         one.name, counts.syncs, counts.renames, counts.opens,
                                         one.golden.syncs, one.golden.renames, one.golden.opens));
        }
    }
    record.check();
}
