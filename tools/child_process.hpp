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

}  // namespace opforge::tools
