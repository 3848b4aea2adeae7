// Profiles as files that a user names.
#pragma once

#include <opforge/builder/profile.hpp>

#include <filesystem>
#include <vector>

namespace opforge::tools {

/// @throws InputError where it is missing, unreadable or no profile
[[nodiscard]] std::vector<builder::PrewarmJob> read_profile(const std::filesystem::path& path);

}  // namespace opforge::tools
