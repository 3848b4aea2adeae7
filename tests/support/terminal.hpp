// A program on a terminal of its own (a pty): what it draws there, and keys pressed.
//
//   test::Terminal terminal({OPFORGE_PROGRAM, "prewarm"}, {"TERM=xterm"}, 80);
//   REQUIRE(terminal.wait_for("50%"));
//   terminal.press("\x03");   // Ctrl-C: SIGINT for the foreground processes
//   CHECK(terminal.wait() == 130);
#pragma once

#include <chrono>
#include <string>
#include <sys/types.h>
#include <vector>

namespace opforge::test {

class Terminal {
public:
    /// `arguments[0]` is the program's path; `variables` ("NAME=value") on top of the environment.
    Terminal(const std::vector<std::string>& arguments, const std::vector<std::string>& variables,
             unsigned short columns);
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    ~Terminal();

    /// Reads until the screen's text so far contains `text`. False: it ended without, or a minute
    /// went by.
    [[nodiscard]] bool wait_for(const std::string& text);
    void press(const std::string& keys) const;
    void resize(unsigned short columns) const;
    /// Reads to the end. The exit code; 128 + n for a signal.
    [[nodiscard]] int wait();
    /// Every byte written so far.
    [[nodiscard]] const std::string& output() const noexcept { return output_; }

private:
    // False at the end, or at the deadline.
    bool read_some(std::chrono::steady_clock::time_point deadline);

    pid_t child_ = -1;
    int master_ = -1;
    std::string output_;
};

}  // namespace opforge::test
