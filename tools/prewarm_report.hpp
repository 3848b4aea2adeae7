// What a prewarm says at its end.
#pragma once

#include "output.hpp"

#include <opforge/builder/prewarm.hpp>

#include <string>

namespace opforge::tools {

/// The exit code is that of the failures. Failures that differ in nothing but the program are told
/// once.
[[nodiscard]] CommandResult prewarm_report(const builder::PrewarmResult& result, double seconds);

/// Makes of it the report of a run that was stopped: `resume` is the command to go on with.
void add_interruption(CommandResult& report, const builder::PrewarmResult& result, ExitCode code,
                      const std::string& root, const std::string& resume);

}  // namespace opforge::tools
