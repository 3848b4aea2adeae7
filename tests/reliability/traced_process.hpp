// A child process under ptrace: its file calls counted, and one of them killed at, failed or cut
// short. The real library on the real kernel, so that posix_file_system.cpp is under test as well.
// (strace's `inject` does the same for whole programs; forking here saves its start at each of
// thousands of points, and it cannot cut a read or a write short.)
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace opforge::test {

/// Empty where this machine lets a process trace its child; else why not, for a SKIPPED line.
[[nodiscard]] std::string why_no_tracing();

/// One file call that the child made.
struct TracedCall {
    std::string name;      // "openat"
    bool changes = false;  // something on the disk, or a lock
    long result = 0;       // negative: an errno
};

enum class FaultKind {
    none,
    kill,        // SIGKILL, the call is not carried out
    kill_after,  // SIGKILL, the call is carried out
    fail_once,   // gives `code` instead of being carried out (close is carried out as well)
    fail_on,     // the same for this and every later call
    shorten,     // reads and writes from this one on move half of what they should, at least a byte
};
[[nodiscard]] const char* to_string(FaultKind kind) noexcept;

struct Injection {
    FaultKind kind = FaultKind::none;
    std::size_t call = 0;  // the first is 1
    int code = 0;          // errno
};

struct TracedRun {
    std::vector<TracedCall> calls;    // file calls of the work, in order
    std::vector<long> other_calls;    // numbers of all its other system calls
    std::vector<std::string> opened;  // where asked for: what each open came to, as /proc has it
    bool injected = false;
    bool killed = false;
    bool hung = false;  // it passed the deadline and was ended
    int exit_code = -1;
    std::string report;                  // what `work` returned
    std::size_t descriptors_before = 0;  // open in the child around the work, seen from outside
    std::size_t descriptors_after = 0;
    std::size_t threads_before = 0;
    std::size_t threads_after = 0;

    [[nodiscard]] std::map<std::string, std::size_t> count_by_name() const;
};

struct TraceOptions {
    Injection injection;
    bool record_opened = false;
    std::function<void()> before;  // in the child, not traced
};

/// Forks; the child runs `work` under the trace and hands its text over. An exception out of `work`
/// ends the child with code 70 and its text as the report.
[[nodiscard]] TracedRun run_traced(const std::function<std::string()>& work,
                                   const TraceOptions& options = {});

/// EINTR "from then on" means this many interruptions: for ever would be a machine that stands
/// still.
inline constexpr std::size_t kInterruptions = 50;

}  // namespace opforge::test
