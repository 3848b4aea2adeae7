// Suite 1: a worker killed at every file call it makes, before the call and after it. (A SIGKILL
// loses nothing that was written: what a power failure does is power_loss_test.cpp's matter.)
#include "operations.hpp"
#include "suite_record.hpp"
#include "traced_process.hpp"

#include <catch2/catch.hpp>

#include <iostream>

using namespace opforge::test;

TEST_CASE("a worker killed at any file call leaves a cache that works", "[kill_points]") {
    if (const std::string reason = why_no_tracing(); !reason.empty()) {
        std::cout << "SKIPPED: " << reason << '\n';
        return;
    }
    SuiteRecord record(1, "kill points", "", "kills");
    for (const Operation& operation : operations()) {
        const TracedRun whole = Scene(operation).run();
        REQUIRE(whole.exit_code == 0);
        for (const TracedCall& call : whole.calls) {
            record.count("file calls");
            record.count("state-changing calls", call.changes ? 1 : 0);
        }
        record.count(operation.name, whole.calls.size());
        for (std::size_t call = 1; call <= whole.calls.size(); ++call) {
            for (const FaultKind kind : {FaultKind::kill, FaultKind::kill_after}) {
                // After a call that changes nothing is before the next one.
                if (kind == FaultKind::kill_after && !whole.calls[call - 1].changes) {
                    continue;
                }
                const Scene scene(operation);
                const TracedRun run = scene.run({kind, call, 0});
                const std::string where = operation.name + ", " + to_string(kind) + " call " +
                                          std::to_string(call) + " (" + whole.calls[call - 1].name +
                                          ")";
                record.visit();
                if (!run.killed) {
                    record.violation(where + ": it was not killed");
                }
                scene.check_directory(record, where);
            }
        }
    }
    record.check();
}
