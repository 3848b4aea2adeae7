// A worker process of a prewarm.
#include "prewarm_protocol.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace opforge::builder {
namespace {

/// The socket to the parent, by lines.
class Parent {
public:
    explicit Parent(int descriptor) : descriptor_(descriptor) {}
    Parent(const Parent&) = delete;
    Parent& operator=(const Parent&) = delete;
    ~Parent() { ::close(descriptor_); }

    /// nullopt once the parent has closed, or is gone.
    [[nodiscard]] std::optional<std::string> read_line() {
        for (;;) {
            if (const std::size_t end = pending_.find('\n'); end != std::string::npos) {
                std::string line = pending_.substr(0, end);
                pending_.erase(0, end + 1);
                return line;
            }
            std::array<char, 4096> block{};
            const ssize_t got = ::recv(descriptor_, block.data(), block.size(), 0);
            if (got > 0) {
                pending_.append(block.data(), static_cast<std::size_t>(got));
            } else if (got == 0 || errno != EINTR) {
                return std::nullopt;
            }
        }
    }

    /// A parent that is gone is noticed at the next read.
    void write(std::string_view line) {
        const std::lock_guard lock(mutex_);
        while (!line.empty()) {
            const ssize_t sent = ::send(descriptor_, line.data(), line.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno != EINTR) {
                return;
            }
            line.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
        }
    }

private:
    int descriptor_;
    std::string pending_;
    std::mutex mutex_;
};

/// SIGTERM ends the process while it compiles, and waits while it publishes: a stopped prewarm
/// leaves no half-written folders behind.
class InterruptibleCompiler final : public Compiler {
public:
    explicit InterruptibleCompiler(std::shared_ptr<Compiler> inner) : inner_(std::move(inner)) {}

    std::optional<cache::Toolchain> toolchain() override { return inner_->toolchain(); }
    cache::Toolchain require(const Target& target, int driver_version) override {
        return inner_->require(target, driver_version);
    }
    CompiledProgram compile(const CompileJob& job) override {
        const Unblocked unblocked;
        return inner_->compile(job);
    }

    static void block() { mask(SIG_BLOCK); }

private:
    struct Unblocked {
        Unblocked() { mask(SIG_UNBLOCK); }
        Unblocked(const Unblocked&) = delete;
        Unblocked& operator=(const Unblocked&) = delete;
        ~Unblocked() { block(); }
    };
    static void mask(int how) {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGTERM);
        ::pthread_sigmask(how, &set, nullptr);
    }

    std::shared_ptr<Compiler> inner_;
};

void take_signals() {
    // A terminal's Ctrl-C is the parent's to handle; this process has a group of its own, but a
    // user may send it to everybody.
    ::signal(SIGINT, SIG_IGN);
    ::signal(SIGTERM, SIG_DFL);
    InterruptibleCompiler::block();
    // The thread that runs prewarm() started this process: that it ends is the end.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
}

// What anybody prints goes to standard error, which the parent keeps.
int take_socket() {
    const int socket = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    if (socket < 0) {
        throw std::system_error(errno, std::generic_category(), "prewarm worker: standard input");
    }
    if (const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC); null >= 0) {
        ::dup2(null, STDIN_FILENO);
        ::close(null);
    }
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    return socket;
}

BuildOutcome failure(const PrewarmJob& job, std::string_view kind, const std::string& text) {
    BuildOutcome outcome;
    outcome.program = job.program;
    outcome.target = job.target;
    outcome.error = text;
    outcome.error_kind = kind;
    return outcome;
}

}  // namespace

void serve_prewarm(const OpCatalog& catalog) {
    take_signals();
    Parent parent(take_socket());
    const auto first = parent.read_line();
    if (!first) {
        return;
    }
    const WorkerSetup setup = parse_setup(*first);
    set_log_level(LogLevel::off);
    warn_of_unknown_variables();    // the parent has done so
    ::unsetenv("OPFORGE_PROFILE");  // likewise
    set_log_level(setup.log_level);
    set_log_sink([&parent](LogLevel level, std::string_view text) {
        parent.write(to_line(WorkerMessage{level, std::string(text)}));
    });

    BuilderContext context;
    cache::CacheOptions options;
    options.directory = setup.cache_root;
    options.limits = setup.limits;
    options.layers.emplace();  // what they have is no worker's to compile
    context.cache = std::make_shared<cache::Cache>(options);
    context.policy = setup.policy;
    if (setup.keep_directory) {
        context.keep_directory = *setup.keep_directory;
    }
    context.compiler =
        std::make_shared<InterruptibleCompiler>(nvrtc_compiler(context.cache->root().path));
    std::map<std::string, std::unique_ptr<OpBuilder>> builders;
    while (const auto line = parent.read_line()) {
        const PrewarmJob job = parse_job(*line);
        try {
            auto& builder = builders[job.op];
            if (!builder) {
                builder = catalog.make(job.op, context);
            }
            parent.write(to_line(builder->build_program(job.target, job.program)));
        } catch (const Error& error) {
            parent.write(to_line(failure(job, error.kind(), error.what())));
        }
    }
    set_log_sink({});
}

}  // namespace opforge::builder
