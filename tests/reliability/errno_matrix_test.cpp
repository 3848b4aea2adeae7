// Suite 3: every file call of every operation fails with every errno, once and from then on; and
// reads and writes move less than they were asked to.
#include "operations.hpp"
#include "suite_record.hpp"
#include "traced_process.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <utility>

using namespace opforge::test;

namespace {

constexpr auto kErrors = std::to_array<std::pair<int, const char*>>({
    {EIO, "EIO"},
    {ENOSPC, "ENOSPC"},
    {EDQUOT, "EDQUOT"},
    {EROFS, "EROFS"},
    {EACCES, "EACCES"},
    {EPERM, "EPERM"},
    {EMFILE, "EMFILE"},
    {ENFILE, "ENFILE"},
    {ENOMEM, "ENOMEM"},
    {EINTR, "EINTR"},
    {ESTALE, "ESTALE"},
    {ENOLCK, "ENOLCK"},
    {ETXTBSY, "ETXTBSY"},
});

constexpr std::uint64_t kShortPart = 16;

void run_point(const Operation& operation, const TracedCall& call, const Injection& injection,
               const std::string& code, SuiteRecord& record) {
    const Scene scene(operation);
    const TracedRun run = scene.run(injection);
    const std::string where = operation.name + ", " + to_string(injection.kind) + " call " +
                              std::to_string(injection.call) + " (" + call.name + ") " + code;
    record.visit();
    if (!run.injected) {
        record.violation(where + ": nothing was injected");
    }
    scene.check_worker(run, record, where);
    scene.check_directory(record, where);
    // Interruptions and short transfers are no faults: nobody may see them.
    if (injection.kind == FaultKind::shorten || injection.code == EINTR) {
        const auto report = report_of(run.report);
        if (!report || !report->warnings.empty() || !report->error.empty() ||
            report->counters.publish_failures != 0) {
            record.violation(where + ": an interruption or a short transfer is seen");
        }
    }
}

void run_matrix(Form form) {
    if (const std::string reason = why_no_tracing(); !reason.empty()) {
        std::cout << "SKIPPED: " << reason << '\n';
        return;
    }
    SuiteRecord record(3, "errno matrix", "", "failed calls", form);
    std::uint64_t point = record.seed();
    for (const Operation& operation : operations()) {
        const TracedRun whole = Scene(operation).run();
        REQUIRE(whole.exit_code == 0);
        for (std::size_t index = 1; index <= whole.calls.size(); ++index) {
            const TracedCall& call = whole.calls[index - 1];
            for (const auto& [code, name] : kErrors) {
                for (const FaultKind kind : {FaultKind::fail_once, FaultKind::fail_on}) {
                    // The short form takes another part with every seed.
                    if (form == Form::brief && ++point % (kShortPart * kSlowdown) != 0) {
                        continue;
                    }
                    record.count(name);
                    run_point(operation, call, {kind, index, code}, name, record);
                }
            }
            if (call.name == "read" || call.name == "write" || call.name == "pread64") {
                record.count("short transfers");
                // A transfer of one byte cannot be shorter.
                if (call.result > 1) {
                    run_point(operation, call, {FaultKind::shorten, index, 0}, "", record);
                }
            }
        }
    }
    record.check();
}

}  // namespace

TEST_CASE("a worker whose file calls fail is served all the same", "[errno_matrix]") {
    run_matrix(Form::brief);
}

TEST_CASE("a worker is served whichever call fails, with whichever error",
          "[errno_matrix][.stress]") {
    run_matrix(Form::full);
}
