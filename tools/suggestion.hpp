// "Did you mean ...?" for mistyped verbs and options.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace opforge::tools {

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
[[nodiscard]] std::size_t edit_distance(std::string_view from, std::string_view to);

/// The known word nearest to `typed`; nullopt where none is near enough to be meant.
[[nodiscard]] std::optional<std::string> nearest_word(std::string_view typed,
                                                      std::span<const std::string> known);

}  // namespace opforge::tools
