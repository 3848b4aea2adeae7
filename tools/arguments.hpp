// The command line: verbs, options, help, and what a typing error gets to hear.
#pragma once

#include "session.hpp"

#include <optional>

namespace opforge::tools {

/// Fills `session`. A result where there is nothing left to run: help, the version, a usage error.
[[nodiscard]] std::optional<CommandResult> parse_arguments(int count, const char* const* values,
                                                           Session& session);

}  // namespace opforge::tools
