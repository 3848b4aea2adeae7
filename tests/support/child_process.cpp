#include "child_process.hpp"
#include "leave.hpp"

#include <array>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace opforge::test {

namespace {

constexpr int kFailed = 70;

std::string read_all(int descriptor) {
    std::string text;
    std::array<char, 4096> block{};
    for (ssize_t got = 0; (got = ::read(descriptor, block.data(), block.size())) > 0;) {
        text.append(block.data(), static_cast<std::size_t>(got));
    }
    return text;
}

int wait_for(pid_t child) {
    int status = 0;
    if (::waitpid(child, &status, 0) != child) {
        throw std::runtime_error("waitpid failed");
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Forks; `in_child` gets the pipe's writing end and returns the exit code.
ChildResult fork_and_read(const std::function<int(int)>& in_child) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) {
        throw std::runtime_error("pipe failed");
    }
    const pid_t child = ::fork();
    if (child < 0) {
        throw std::runtime_error("fork failed");
    }
    if (child == 0) {
        ::close(ends[0]);
        leave(in_child(ends[1]));
    }
    ::close(ends[1]);
    ChildResult result;
    result.output = read_all(ends[0]);
    ::close(ends[0]);
    result.exit_code = wait_for(child);
    return result;
}

}  // namespace

ChildResult run_in_child(const std::function<void(std::ostream&)>& work) {
    return fork_and_read([&](int out) {
        try {
            std::ostringstream text;
            work(text);
            const std::string written = text.str();
            return ::write(out, written.data(), written.size()) ==
                           static_cast<ssize_t>(written.size())
                       ? 0
                       : kFailed;
        } catch (...) {
            return kFailed;
        }
    });
}

ChildResult run_program(const std::vector<std::string>& arguments,
                        const std::vector<std::string>& variables) {
    std::vector<std::string> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        environment.emplace_back(*entry);
    }
    // The first of two equal names counts: ours go in front.
    environment.insert(environment.begin(), variables.begin(), variables.end());
    const auto pointers = [](const std::vector<std::string>& texts) {
        std::vector<char*> list;
        for (const std::string& text : texts) {
            list.push_back(const_cast<char*>(text.c_str()));
        }
        list.push_back(nullptr);
        return list;
    };
    const std::vector<char*> argument_list = pointers(arguments);
    const std::vector<char*> environment_list = pointers(environment);
    return fork_and_read([&](int out) {
        ::dup2(out, STDOUT_FILENO);
        ::dup2(out, STDERR_FILENO);
        ::execve(argument_list[0], argument_list.data(), environment_list.data());
        return kFailed;
    });
}

}  // namespace opforge::test
