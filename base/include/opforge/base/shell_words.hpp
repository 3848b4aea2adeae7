// Command lines as text that a person can copy into a shell.
#pragma once

#include <opforge/base/export.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace opforge {

/// The word as a POSIX shell reads it back: in single quotes where it needs any.
[[nodiscard]] OPFORGE_API std::string shell_word(std::string_view word);
/// The words, each quoted where needed, separated by blanks.
[[nodiscard]] OPFORGE_API std::string shell_words(const std::vector<std::string>& words);

}  // namespace opforge
