// Environment variables as opforge reads them: nothing in a setuid process, and a typo warns once.
#pragma once

#include <opforge/base/export.hpp>

#include <optional>
#include <string>
#include <vector>

namespace opforge {

/// The variable's value; nullopt where it is unset, empty, or the process runs with raised
/// privileges.
[[nodiscard]] OPFORGE_API std::optional<std::string> environment(const char* name);

/// Each OPFORGE_* name in the environment that opforge does not know.
[[nodiscard]] OPFORGE_API std::vector<std::string> unknown_variables();
/// Warns once a process of each OPFORGE_* name in the environment that opforge does not know.
OPFORGE_API void warn_of_unknown_variables();

}  // namespace opforge
