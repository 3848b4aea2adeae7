#include "child_process.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <iostream>
#include <poll.h>
#include <spawn.h>
#include <string_view>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace opforge::tools {
namespace {

class Pipe {
public:
    Pipe() {
        if (::pipe2(ends_.data(), O_CLOEXEC) != 0) {
            throw std::system_error(errno, std::generic_category(), "pipe2");
        }
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() {
        close(0);
        close(1);
    }
    [[nodiscard]] int reading() const { return ends_[0]; }
    [[nodiscard]] int writing() const { return ends_[1]; }
    void close(std::size_t end) {
        if (ends_.at(end) >= 0) {
            ::close(ends_.at(end));
            ends_.at(end) = -1;
        }
    }

private:
    std::array<int, 2> ends_{-1, -1};
};

std::vector<std::string> changed_environment(
    const std::vector<std::pair<std::string, std::optional<std::string>>>& changes) {
    std::vector<std::string> result;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::string_view name = text.substr(0, text.find('='));
        if (std::none_of(changes.begin(), changes.end(),
                         [name](const auto& change) { return change.first == name; })) {
            result.emplace_back(text);
        }
    }
    for (const auto& [name, value] : changes) {
        if (value) {
            result.push_back(name + "=" + *value);
        }
    }
    return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

// Both pipes at once: a child that fills one while we read the other would wait for ever.
void gather(Pipe& first, std::string& first_text, Pipe& second, std::string& second_text) {
    std::array<pollfd, 2> waits{{{first.reading(), POLLIN, 0}, {second.reading(), POLLIN, 0}}};
    const std::array<std::string*, 2> texts{&first_text, &second_text};
    std::array<char, 4096> buffer{};
    while (waits[0].fd >= 0 || waits[1].fd >= 0) {
        if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "poll");
        }
        for (std::size_t i = 0; i < waits.size(); ++i) {
            if (waits.at(i).fd < 0 || waits.at(i).revents == 0) {
                continue;
            }
            const ssize_t count = ::read(waits.at(i).fd, buffer.data(), buffer.size());
            if (count > 0) {
                texts.at(i)->append(buffer.data(), static_cast<std::size_t>(count));
            } else if (count == 0 || errno != EINTR) {
                waits.at(i).fd = -1;
            }
        }
    }
}

int exit_code_of(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "waitpid");
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::atomic<pid_t> foreground_child{0};
static_assert(std::atomic<pid_t>::is_always_lock_free, "the signal handler reads it");

extern "C" void pass_on(int signal) {
    if (const pid_t child = foreground_child.load(); child > 0) {
        ::kill(child, signal);
    }
}

/// The terminal's keys go to the child alone, other requests to end are passed on.
class ForegroundSignals {
public:
    ForegroundSignals() {
        for (std::size_t i = 0; i < kSignals.size(); ++i) {
            struct sigaction action {};
            const bool key = kSignals.at(i) == SIGINT || kSignals.at(i) == SIGQUIT;
            action.sa_handler = key ? SIG_IGN : pass_on;
            ::sigemptyset(&action.sa_mask);
            ::sigaction(kSignals.at(i), &action, &before_.at(i));
        }
    }
    ForegroundSignals(const ForegroundSignals&) = delete;
    ForegroundSignals& operator=(const ForegroundSignals&) = delete;
    ~ForegroundSignals() {
        for (std::size_t i = 0; i < kSignals.size(); ++i) {
            ::sigaction(kSignals.at(i), &before_.at(i), nullptr);
        }
    }
    /// Those that the child finds as this process found them: at their default, unless ignored.
    [[nodiscard]] sigset_t at_default() const {
        sigset_t set;
        ::sigemptyset(&set);
        for (std::size_t i = 0; i < kSignals.size(); ++i) {
            if (before_.at(i).sa_handler != SIG_IGN) {
                ::sigaddset(&set, kSignals.at(i));
            }
        }
        return set;
    }

private:
    static constexpr std::array kSignals = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace

int run_in_foreground(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::optional<std::string>>>& environment,
    bool output_to_error) {
    std::vector<std::string> argument_texts = arguments;
    std::vector<std::string> environment_texts = changed_environment(environment);
    posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    if (output_to_error) {
        ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    }
    const ForegroundSignals signals;
    const sigset_t at_default = signals.at_default();
    posix_spawnattr_t attributes{};
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setsigdefault(&attributes, &at_default);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    pid_t child = 0;
    const int failed =
        ::posix_spawnp(&child, arguments.at(0).c_str(), &actions, &attributes,
                       pointers(argument_texts).data(), pointers(environment_texts).data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        constexpr int kNotFound = 127;
        constexpr int kNotRunnable = 126;
        std::cerr << "opforge: " << arguments.at(0) << ": "
                  << std::generic_category().message(failed) << "\n";
        return failed == ENOENT ? kNotFound : kNotRunnable;
    }
    foreground_child = child;
    const int code = exit_code_of(child);
    foreground_child = 0;
    return code;
}

ChildResult
run_child(const std::vector<std::string>& arguments,
          const std::vector<std::pair<std::string, std::optional<std::string>>>& environment) {
    Pipe output;
    Pipe error;
    std::vector<std::string> argument_texts = arguments;
    std::vector<std::string> environment_texts = changed_environment(environment);

    posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output.writing(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, error.writing(), STDERR_FILENO);
    pid_t child = 0;
    const int failed =
        ::posix_spawn(&child, arguments.at(0).c_str(), &actions, nullptr,
                      pointers(argument_texts).data(), pointers(environment_texts).data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        throw std::system_error(failed, std::generic_category(), "start " + arguments.at(0));
    }
    output.close(1);
    error.close(1);

    ChildResult result;
    gather(output, result.standard_output, error, result.standard_error);
    result.exit_code = exit_code_of(child);
    return result;
}

}  // namespace opforge::tools
