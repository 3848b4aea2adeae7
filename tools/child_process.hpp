// Runs a program and gathers what it says.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace opforge::tools {

struct ChildResult {
    int exit_code = -1;  // 128 + the signal's number where one ended it, as shells say it
    std::string standard_output;
    std::string standard_error;
};

/// `arguments[0]` is the program's path. `environment` is changed for the child: a value sets,
/// nullopt unsets.
/// @throws std::system_error where it cannot be started.
[[nodiscard]] ChildResult
run_child(const std::vector<std::string>& arguments,
          const std::vector<std::pair<std::string, std::optional<std::string>>>& environment = {});

/// Runs a program (found through PATH) on this process's own standard files and terminal, whose
/// keys are then its own: this process outlives a Ctrl-C, and passes on SIGTERM and SIGHUP.
/// `output_to_error`: its standard output goes to standard error.
/// @return its exit code as shells say it: 128 + the signal's number, 127 where there is no such
/// program, 126 where it cannot be run
[[nodiscard]] int run_in_foreground(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::optional<std::string>>>& environment,
    bool output_to_error);

}  // namespace opforge::tools
