// Suite 8: many processes ask an empty cache for the same keys at once. Each key is compiled once,
// by one of them; a killed one costs at most one compile more.
#include "crowd.hpp"
#include "suite_record.hpp"

#include "support/cache_samples.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <iterator>

using namespace opforge;
using namespace opforge::cache;
using namespace opforge::test;

namespace {

void run_rounds(SuiteRecord& record, CrowdPlan plan, std::uint64_t rounds) {
    std::vector<double> waits;
    for (std::uint64_t round = 1; round <= rounds; ++round) {
        const TemporaryDirectory directory(fastest_parent());
        plan.seed = record.seed() * 1000 + round;
        CrowdResult result = run_crowd(directory.path() / "root", plan);
        const auto require = [&](bool holds, const std::string& what) {
            if (!holds) {
                record.violation(fmt::format("round {} of {} processes on {} keys: {}", round,
                                             plan.processes, plan.keys, what));
            }
        };
        require(plan.kills > 0 ? result.compiles <= plan.keys + result.killed
                               : result.compiles == plan.keys,
                fmt::format("{} compiles with {} killed", result.compiles, result.killed));
        require(result.wrong_bytes == 0, fmt::format("{} wrong answers", result.wrong_bytes));
        require(result.failed == 0, fmt::format("{} processes failed", result.failed));
        require(plan.kills > 0 || result.answers == plan.processes * plan.keys, "answers missing");
        std::size_t sound = 0;
        for (const Listed& listed : DirectoryStore(directory.path() / "root").list(true)) {
            require(listed.manifest.has_value(), "a broken entry is left: " + listed.reason);
            ++sound;
        }
        require(sound == plan.keys, fmt::format("{} entries are left", sound));
        record.visit(result.answers);
        record.count("rounds");
        record.count("processes", plan.processes);
        record.count("compiles", result.compiles);
        record.count("kills", result.killed);
        waits.insert(waits.end(), result.waits_ms.begin(), result.waits_ms.end());
    }
    record.note("p50 of the wait", fmt::format("{:.1f} ms", percentile(waits, 50)));
    record.note("p99 of the wait", fmt::format("{:.1f} ms", percentile(waits, 99)));
}

CrowdPlan plan_of(std::size_t processes, std::size_t keys, std::size_t kills = 0) {
    CrowdPlan plan;
    plan.processes = scaled(processes);
    plan.keys = keys;
    plan.kills = kills == 0 ? 0 : scaled(kills);
    return plan;
}

}  // namespace

TEST_CASE("64 processes on 24 keys of an empty cache compile each key once", "[stampede]") {
    SuiteRecord record(8, "stampede", "", "answers");
    run_rounds(record, plan_of(64, 24), scaled(20));
    record.check();
}

TEST_CASE("64 processes with a third of them killed compile at most once more a kill",
          "[stampede]") {
    SuiteRecord record(8, "stampede", "with kills", "answers");
    run_rounds(record, plan_of(64, 24, 64 / 3), scaled(20));
    record.check();
}

TEST_CASE("crowds of every size compile each key once", "[stampede][.stress]") {
    for (const std::size_t kills : {0, 1}) {
        SuiteRecord record(8, "stampede", kills == 0 ? "sizes" : "sizes with kills", "answers",
                           Form::full);
        for (const std::size_t processes : {2, 8, 64}) {
            for (const std::size_t keys : {1, 16, 64}) {
                run_rounds(record, plan_of(processes, keys, kills * (processes / 3)), scaled(20));
            }
        }
        record.check();
    }
}
