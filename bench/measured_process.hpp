// One process for one measurement: what happens once a process (cuInit, a context, a first load)
// can be measured once a process.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace opforge::bench {

struct ProcessResult {
    int exit_code = -1;  // 127 where the program could not be started
    std::string output;  // its standard output; standard error passes through
};

/// Runs a program (found through PATH) with these variables on top of the environment, and waits.
[[nodiscard]] ProcessResult
run_process(const std::vector<std::string>& arguments,
            const std::vector<std::pair<std::string, std::string>>& variables);

}  // namespace opforge::bench
