#include "worker_process.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace opforge::builder {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
    throw std::system_error(error, std::generic_category(), what);
}

void close_one(int& descriptor) noexcept {
    if (descriptor >= 0) {
        ::close(descriptor);
        descriptor = -1;
    }
}

// Files and signals of the new process, released with their scope.
class Spawning {
public:
    Spawning() {
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
        // What the caller's threads block or ignore must not reach the worker; SIGTERM stays
        // blocked until it is ready for it.
        sigset_t all;
        ::sigfillset(&all);
        ::sigdelset(&all, SIGKILL);
        ::sigdelset(&all, SIGSTOP);
        sigset_t blocked;
        ::sigemptyset(&blocked);
        ::sigaddset(&blocked, SIGTERM);
        ::posix_spawnattr_setsigdefault(&attributes, &all);
        ::posix_spawnattr_setsigmask(&attributes, &blocked);
        ::posix_spawnattr_setpgroup(&attributes, 0);
        ::posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGDEF |
                                                                   POSIX_SPAWN_SETSIGMASK |
                                                                   POSIX_SPAWN_SETPGROUP));
    }
    Spawning(const Spawning&) = delete;
    Spawning& operator=(const Spawning&) = delete;
    ~Spawning() {
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
};

}  // namespace

WorkerProcess::WorkerProcess(const std::vector<std::string>& command) {
    std::array<int, 2> sockets{-1, -1};
    std::array<int, 2> pipe{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0 ||
        ::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        const int error = errno;
        close_one(sockets[0]);
        close_one(sockets[1]);
        fail(error, "prewarm: talk to a worker process");
    }
    Spawning spawning;
    ::posix_spawn_file_actions_adddup2(&spawning.actions, sockets[1], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&spawning.actions, pipe[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&spawning.actions, pipe[1], STDERR_FILENO);
    std::vector<std::string> texts = command;
    std::vector<char*> arguments;
    for (std::string& text : texts) {
        arguments.push_back(text.data());
    }
    arguments.push_back(nullptr);
    const int error = ::posix_spawn(&id_, texts.front().c_str(), &spawning.actions,
                                    &spawning.attributes, arguments.data(), environ);
    close_one(sockets[1]);
    close_one(pipe[1]);
    socket_ = sockets[0];
    output_ = pipe[0];
    if (error != 0) {
        id_ = -1;
        close_one(socket_);
        close_one(output_);
        fail(error, fmt::format("prewarm: start the worker process {}", command.front()));
    }
    for (const int descriptor : {socket_, output_}) {
        ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
    }
}

WorkerProcess::~WorkerProcess() {
    close_one(socket_);
    close_one(output_);
    if (id_ > 0) {
        ::kill(id_, SIGKILL);
        while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
}

bool WorkerProcess::send(std::string_view line) {
    while (!line.empty() && socket_ >= 0) {
        const ssize_t sent = ::send(socket_, line.data(), line.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return false;
        }
        line.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
    }
    return line.empty();
}

std::vector<std::string> WorkerProcess::receive() {
    std::array<char, 4096> block{};
    while (socket_ >= 0) {
        const ssize_t got = ::recv(socket_, block.data(), block.size(), 0);
        if (got > 0) {
            received_.append(block.data(), static_cast<std::size_t>(got));
        } else if (got < 0 && errno == EINTR) {
            continue;
        } else if (got < 0 && errno == EAGAIN) {
            break;
        } else {
            close_one(socket_);
        }
    }
    std::vector<std::string> lines;
    for (std::size_t end = received_.find('\n'); end != std::string::npos;
         end = received_.find('\n')) {
        lines.push_back(received_.substr(0, end));
        received_.erase(0, end + 1);
    }
    return lines;
}

void WorkerProcess::gather_output() {
    constexpr std::size_t kMost = 16384;
    std::array<char, 4096> block{};
    while (output_ >= 0) {
        const ssize_t got = ::read(output_, block.data(), block.size());
        if (got > 0) {
            printed_.append(block.data(), static_cast<std::size_t>(got));
            printed_.erase(0, printed_.size() > kMost ? printed_.size() - kMost : 0);
        } else if (got < 0 && errno == EINTR) {
            continue;
        } else if (got < 0 && errno == EAGAIN) {
            break;
        } else {
            close_one(output_);
        }
    }
}

std::string WorkerProcess::take_output() {
    gather_output();
    return std::exchange(printed_, {});
}

void WorkerProcess::ask_to_end(bool now) noexcept {
    if (now && id_ > 0) {
        ::kill(id_, SIGTERM);
    }
    if (socket_ >= 0) {
        ::shutdown(socket_, SHUT_WR);
    }
}

WorkerProcess::End WorkerProcess::wait(std::chrono::milliseconds patience) {
    // Its end of the socket closes when it ends, and lines may still come before.
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::string lines;
    while (socket_ >= 0 && std::chrono::steady_clock::now() < deadline) {
        constexpr int kStepMilliseconds = 20;
        pollfd end{socket_, POLLIN, 0};
        ::poll(&end, 1, kStepMilliseconds);
        for (const std::string& line : receive()) {
            lines += line + '\n';
        }
        gather_output();
    }
    received_.insert(0, lines);
    if (socket_ >= 0 && id_ > 0) {
        ::kill(id_, SIGKILL);
    }
    int status = 0;
    pid_t ended = -1;
    do {
        ended = ::waitpid(id_, &status, 0);
    } while (ended < 0 && errno == EINTR);
    id_ = -1;
    if (ended < 0) {
        // A host that ignores SIGCHLD, or reaps every child.
        return {"an end that somebody else waited for"};
    }
    if (WIFSIGNALED(status)) {
        const int signal = WTERMSIG(status);
        return {fmt::format("signal {} ({})", signal, ::strsignal(signal)), signal == SIGKILL};
    }
    return {fmt::format("exit code {}", WEXITSTATUS(status))};
}

}  // namespace opforge::builder
