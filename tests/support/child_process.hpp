// Work in a child process: what must not happen, or can happen only once, in the process of the
// tests.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace opforge::test {

struct ChildResult {
    int exit_code = -1;  // 128 + n for a child that signal n ended
    std::string output;
};

/// Forks, runs `work` in the child, which then ends without exit handlers; an exception ends it
/// with code 70. `output` is what the child wrote to the stream.
ChildResult run_in_child(const std::function<void(std::ostream&)>& work);

/// Runs a program with these variables on top of the environment ("NAME=value"); `output` is what
/// it wrote to standard output and standard error, as it came.
ChildResult run_program(const std::vector<std::string>& arguments,
                        const std::vector<std::string>& variables = {});

}  // namespace opforge::test
