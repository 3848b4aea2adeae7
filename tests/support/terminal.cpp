#include "support/terminal.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <pty.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace opforge::test {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr unsigned short kRows = 24;

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) {
        list.push_back(text.data());
    }
    list.push_back(nullptr);
    return list;
}

}  // namespace

Terminal::Terminal(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& variables, unsigned short columns) {
    std::vector<std::string> argument_texts = arguments;
    std::vector<std::string> environment_texts = variables;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        environment_texts.emplace_back(*entry);  // the first of two equal names counts
    }
    const auto argument_list = pointers(argument_texts);
    const auto environment_list = pointers(environment_texts);
    winsize size{kRows, columns, 0, 0};
    child_ = ::forkpty(&master_, nullptr, nullptr, &size);
    if (child_ < 0) {
        throw std::runtime_error("forkpty failed");
    }
    if (child_ == 0) {
        ::execve(argument_list.front(), argument_list.data(), environment_list.data());
        ::_exit(127);
    }
}

Terminal::~Terminal() {
    if (child_ > 0) {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }
    ::close(master_);
}

bool Terminal::read_some(std::chrono::steady_clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd ready{master_, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) {
        return false;
    }
    std::array<char, 4096> block{};
    const ssize_t got = ::read(master_, block.data(), block.size());
    if (got <= 0) {
        return got < 0 && errno == EINTR;  // EIO: the last process on the terminal is gone
    }
    output_.append(block.data(), static_cast<std::size_t>(got));
    return true;
}

bool Terminal::wait_for(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (output_.find(text) == std::string::npos) {
        if (!read_some(deadline)) {
            return false;
        }
    }
    return true;
}

void Terminal::press(const std::string& keys) const {
    if (::write(master_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) {
        throw std::runtime_error("write to the terminal failed");
    }
}

void Terminal::resize(unsigned short columns) const {
    winsize size{kRows, columns, 0, 0};
    if (::ioctl(master_, TIOCSWINSZ, &size) != 0) {
        throw std::runtime_error("TIOCSWINSZ failed");
    }
}

int Terminal::wait() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (read_some(deadline)) {
    }
    int status = 0;
    if (::waitpid(child_, &status, 0) != child_) {
        throw std::runtime_error("waitpid failed");
    }
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace opforge::test
