// A folder of the user's own in a directory that others can write to. Private.
#pragma once

#include <filesystem>
#include <string>

namespace opforge::cache {

/// Empty: `place` below `parent` (/var/tmp, /tmp) is the user's own, or still to be made. What is
/// there already is judged before anything is opened.
[[nodiscard]] std::string shared_place_fault(const std::filesystem::path& parent,
                                             const std::filesystem::path& place,
                                             unsigned effective_user);

}  // namespace opforge::cache
