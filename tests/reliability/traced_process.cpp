#include "traced_process.hpp"

#include "support/leave.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace opforge::test {
namespace {

constexpr int kFailed = 70;
// Far above what any operation here takes; what comes this late would never come.
constexpr unsigned kDeadlineSeconds = 30;

struct Watched {
    long number;
    const char* name;
    bool changes;
};
// aarch64 knows only the *at forms.
constexpr auto kWatched = std::to_array<Watched>({
    {SYS_openat, "openat", false},  // changes with O_CREAT: see changes()
    {SYS_close, "close", false},
    {SYS_read, "read", false},
    {SYS_pread64, "pread64", false},
    {SYS_write, "write", true},
    {SYS_pwrite64, "pwrite64", true},
    {SYS_fstat, "fstat", false},
#ifdef SYS_newfstatat
    {SYS_newfstatat, "newfstatat", false},
#endif
    {SYS_statx, "statx", false},
    {SYS_fstatfs, "fstatfs", false},
    {SYS_statfs, "statfs", false},
    {SYS_lseek, "lseek", false},
    {SYS_getdents64, "getdents64", false},
    {SYS_readlinkat, "readlinkat", false},
    {SYS_faccessat, "faccessat", false},
    {SYS_fsync, "fsync", true},
    {SYS_fdatasync, "fdatasync", true},
    {SYS_mkdirat, "mkdirat", true},
    {SYS_fchmod, "fchmod", true},
    {SYS_fchmodat, "fchmodat", true},
    {SYS_renameat2, "renameat2", true},
    {SYS_unlinkat, "unlinkat", true},
    {SYS_utimensat, "utimensat", true},
    {SYS_ftruncate, "ftruncate", true},
    {SYS_linkat, "linkat", true},
    {SYS_symlinkat, "symlinkat", true},
    {SYS_fcntl, "fcntl", false},  // changes where it locks
    {SYS_flock, "flock", true},
    {SYS_openat2, "openat2", false},
#ifdef __x86_64__
    {SYS_open, "open", false},
    {SYS_stat, "stat", false},
    {SYS_lstat, "lstat", false},
    {SYS_access, "access", false},
    {SYS_readlink, "readlink", false},
    {SYS_mkdir, "mkdir", true},
    {SYS_rename, "rename", true},
    {SYS_renameat, "renameat", true},
    {SYS_rmdir, "rmdir", true},
    {SYS_unlink, "unlink", true},
#endif
});

const Watched* watched(long number) {
    const auto* const found = std::find_if(kWatched.begin(), kWatched.end(),
                                           [&](const Watched& w) { return w.number == number; });
    return found == kWatched.end() ? nullptr : found;
}

bool changes(const Watched& call, const std::uint64_t* arguments) {
    switch (call.number) {
    case SYS_openat:
        return (arguments[2] & O_CREAT) != 0;
    case SYS_fcntl:
        return arguments[1] == F_OFD_SETLK || arguments[1] == F_OFD_SETLKW ||
               arguments[1] == F_SETLK || arguments[1] == F_SETLKW;
    default:
        return call.changes;
    }
}

bool transfers(long number) {
    return number == SYS_read || number == SYS_write || number == SYS_pread64 ||
           number == SYS_pwrite64;
}

// What differs between machines: how a stopped call is skipped, answered, and given another length.
#if defined(__x86_64__)
constexpr bool kHasRegisters = true;
void poke(pid_t child, std::size_t offset, std::uint64_t value) {
    ::ptrace(PTRACE_POKEUSER, child, offset, value);
}
void skip_call(pid_t child) {
    poke(child, offsetof(user_regs_struct, orig_rax), ~std::uint64_t{0});
}
void set_result(pid_t child, long result) {
    poke(child, offsetof(user_regs_struct, rax), static_cast<std::uint64_t>(result));
}
void set_third_argument(pid_t child, std::uint64_t value) {
    poke(child, offsetof(user_regs_struct, rdx), value);
}
#elif defined(__aarch64__)
constexpr bool kHasRegisters = true;
void set_register(pid_t child, std::size_t index, std::uint64_t value) {
    user_regs_struct registers{};
    iovec place{&registers, sizeof registers};
    ::ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &place);
    registers.regs[index] = value;
    ::ptrace(PTRACE_SETREGSET, child, NT_PRSTATUS, &place);
}
void skip_call(pid_t child) {
    int number = -1;
    iovec place{&number, sizeof number};
    ::ptrace(PTRACE_SETREGSET, child, NT_ARM_SYSTEM_CALL, &place);
}
void set_result(pid_t child, long result) {
    set_register(child, 0, static_cast<std::uint64_t>(result));
}
void set_third_argument(pid_t child, std::uint64_t value) {
    set_register(child, 2, value);
}
#else
constexpr bool kHasRegisters = false;
void skip_call(pid_t) {}
void set_result(pid_t, long) {}
void set_third_argument(pid_t, std::uint64_t) {}
#endif

// In the child. Stops itself before and after the work, which is the window that is looked at.
[[noreturn]] void run_child(int out, const std::function<std::string()>& work,
                            const std::function<void()>& before) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
        leave(kFailed + 1);
    }
    int code = 0;
    std::string report;
    const pid_t self = ::getpid();
    try {
        if (before) {
            before();
        }
        // raise() would make calls of its own, and they would count.
        ::syscall(SYS_tgkill, self, self, SIGSTOP);
        report = work();
    } catch (const std::exception& error) {
        code = kFailed;
        report = error.what();
    }
    ::syscall(SYS_tgkill, self, self, SIGSTOP);
    std::size_t sent = 0;
    while (sent < report.size()) {
        const ssize_t count = ::write(out, report.data() + sent, report.size() - sent);
        if (count <= 0) {
            leave(kFailed + 2);
        }
        sent += static_cast<std::size_t>(count);
    }
    leave(code);
}

// The tracer's side of one child.
class Tracer {
public:
    Tracer(pid_t child, const TraceOptions& options) : child_(child), options_(options) {}

    TracedRun run() {
        bool in_window = false;
        int status = 0;
        while (wait(status)) {
            int deliver = 0;
            const int signal = WSTOPSIG(status);
            if (signal == (SIGTRAP | 0x80)) {
                at_call();
            } else if (signal == SIGSTOP) {
                if (!in_window) {
                    ::ptrace(PTRACE_SETOPTIONS, child_, nullptr,
                             PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
                }
                look_at_child(in_window);
                in_window = !in_window;
            } else {
                deliver = signal;
            }
            ::ptrace(in_window ? PTRACE_SYSCALL : PTRACE_CONT, child_, nullptr, deliver);
        }
        if (WIFEXITED(status)) {
            run_.exit_code = WEXITSTATUS(status);
        } else {
            run_.exit_code = 128 + WTERMSIG(status);
            run_.killed = killing_;
        }
        return std::move(run_);
    }

private:
    // False: the child has ended.
    bool wait(int& status) {
        const auto deadline =
            std::chrono::steady_clock::now() + std::chrono::seconds(kDeadlineSeconds);
        for (unsigned spins = 0;; ++spins) {
            const pid_t got = ::waitpid(child_, &status, WNOHANG);
            if (got < 0) {
                throw std::system_error(errno, std::generic_category(), "waitpid");
            }
            if (got == child_) {
                return WIFSTOPPED(status);
            }
            if (std::chrono::steady_clock::now() > deadline && !run_.hung) {
                run_.hung = true;
                ::kill(child_, SIGKILL);
            }
            // The next stop is microseconds away; one that is not may be a call that sleeps.
            if (spins > 200) {
                ::usleep(200);
            } else {
                ::sched_yield();
            }
        }
    }

    void at_call() {
        __ptrace_syscall_info info{};
        if (::ptrace(PTRACE_GET_SYSCALL_INFO, child_, sizeof info, &info) <= 0) {
            return;
        }
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
            at_entry(info);
        } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
            at_exit(static_cast<long>(info.exit.rval));
        }
    }

    void at_entry(const __ptrace_syscall_info& info) {
        const auto number = static_cast<long>(info.entry.nr);
        const Watched* call = watched(number);
        current_ = call;
        answer_ = 0;
        if (call == nullptr) {
            if (number != SYS_tgkill) {  // the end of the window
                run_.other_calls.push_back(number);
            }
            return;
        }
        const std::uint64_t* arguments = info.entry.args;
        run_.calls.push_back({call->name, changes(*call, arguments), 0});
        const Injection& injection = options_.injection;
        const std::size_t index = run_.calls.size();
        if (injection.kind == FaultKind::none || index < injection.call) {
            return;
        }
        switch (injection.kind) {
        case FaultKind::kill:
            if (index == injection.call) {
                kill_child();
            }
            break;
        case FaultKind::fail_once:
        case FaultKind::fail_on: {
            const std::size_t last = injection.kind == FaultKind::fail_once ? injection.call
                                     : injection.code == EINTR ? injection.call + kInterruptions
                                                               : ~std::size_t{0};
            if (index <= last) {
                run_.injected = true;
                answer_ = -injection.code;
                // A descriptor is gone after close(), whatever it says.
                if (number != SYS_close) {
                    skip_call(child_);
                }
            }
            break;
        }
        case FaultKind::shorten:
            if (transfers(number) && arguments[2] > 1) {
                run_.injected = true;
                set_third_argument(child_, arguments[2] / 2);
            }
            break;
        case FaultKind::kill_after:
        case FaultKind::none:
            break;
        }
    }

    void at_exit(long result) {
        if (current_ == nullptr) {
            return;
        }
        if (answer_ != 0) {
            set_result(child_, answer_);
            result = answer_;
        }
        run_.calls.back().result = result;
        const Injection& injection = options_.injection;
        if (injection.kind == FaultKind::kill_after && run_.calls.size() == injection.call) {
            kill_child();
        }
        if (options_.record_opened && result >= 0 && std::strncmp(current_->name, "open", 4) == 0) {
            std::error_code code;
            const auto link = std::filesystem::path("/proc") / std::to_string(child_) / "fd" /
                              std::to_string(result);
            run_.opened.push_back(std::filesystem::read_symlink(link, code).string());
        }
    }

    void look_at_child(bool at_end) {
        const auto proc = std::filesystem::path("/proc") / std::to_string(child_);
        const auto count = [&](const char* folder) {
            return static_cast<std::size_t>(
                std::distance(std::filesystem::directory_iterator(proc / folder), {}));
        };
        (at_end ? run_.descriptors_after : run_.descriptors_before) = count("fd");
        (at_end ? run_.threads_after : run_.threads_before) = count("task");
    }

    void kill_child() {
        run_.injected = true;
        killing_ = true;
        ::kill(child_, SIGKILL);
    }

    pid_t child_;
    const TraceOptions& options_;
    TracedRun run_;
    const Watched* current_ = nullptr;
    long answer_ = 0;
    bool killing_ = false;
};

std::string read_all(int descriptor) {
    std::string text;
    std::array<char, 4096> block{};
    for (ssize_t got = 0; (got = ::read(descriptor, block.data(), block.size())) > 0;) {
        text.append(block.data(), static_cast<std::size_t>(got));
    }
    return text;
}

}  // namespace

const char* to_string(FaultKind kind) noexcept {
    switch (kind) {
    case FaultKind::none:
        return "none";
    case FaultKind::kill:
        return "kill before";
    case FaultKind::kill_after:
        return "kill after";
    case FaultKind::fail_once:
        return "fail once";
    case FaultKind::fail_on:
        return "fail from";
    case FaultKind::shorten:
        break;
    }
    return "shorten from";
}

std::map<std::string, std::size_t> TracedRun::count_by_name() const {
    std::map<std::string, std::size_t> counts;
    for (const TracedCall& call : calls) {
        ++counts[call.name];
    }
    return counts;
}

TracedRun run_traced(const std::function<std::string()>& work, const TraceOptions& options) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw std::system_error(errno, std::generic_category(), "pipe2");
    }
    const pid_t child = ::fork();
    if (child < 0) {
        throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (child == 0) {
        ::close(ends[0]);
        run_child(ends[1], work, options.before);
    }
    ::close(ends[1]);
    // Reports are far smaller than a pipe's buffer: the child never waits for us here.
    TracedRun run = Tracer(child, options).run();
    run.report = read_all(ends[0]);
    ::close(ends[0]);
    return run;
}

std::string why_no_tracing() {
    if (!kHasRegisters) {
        return "tracing is written for x86-64 and aarch64 only";
    }
    static const std::string reason = []() -> std::string {
        const TracedRun run = run_traced([]() -> std::string {
            ::close(::dup(0));
            return "traced";
        });
        if (run.report == "traced" && run.count_by_name().contains("close")) {
            return {};
        }
        return "this machine does not let a process trace its child (ptrace)";
    }();
    return reason;
}

}  // namespace opforge::test
