// Colours, where they are wanted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace opforge::tools {

enum class ColorChoice { automatic, always, never };
/// @throws InvalidArgument for anything but "auto", "always", "never"
[[nodiscard]] ColorChoice parse_color_choice(std::string_view text);

/// What the environment says: nullopt where a variable is unset or empty.
struct ColorEnvironment {
    std::optional<std::string> no_color;        // NO_COLOR, https://no-color.org
    std::optional<std::string> clicolor_force;  // CLICOLOR_FORCE, "0" counts as unset
    std::optional<std::string> term;            // TERM
    [[nodiscard]] static ColorEnvironment of_process();
};
/// The option goes before NO_COLOR, that before CLICOLOR_FORCE, that before what the file is: a
/// terminal that is not dumb.
[[nodiscard]] bool use_color(ColorChoice choice, const ColorEnvironment& environment,
                             bool is_terminal);

enum class Style { plain, good, warning, bad };
/// The text, in its colour where `color`.
[[nodiscard]] std::string paint(std::string_view text, Style style, bool color);

}  // namespace opforge::tools
