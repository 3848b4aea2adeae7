#include "color.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>

#include <fmt/format.h>

#include <array>

namespace opforge::tools {

ColorChoice parse_color_choice(std::string_view text) {
    if (text == "auto") {
        return ColorChoice::automatic;
    }
    if (text == "always") {
        return ColorChoice::always;
    }
    if (text == "never") {
        return ColorChoice::never;
    }
    throw InvalidArgument(fmt::format("--color \"{}\": use auto, always or never", text));
}

ColorEnvironment ColorEnvironment::of_process() {
    return {environment("NO_COLOR"), environment("CLICOLOR_FORCE"), environment("TERM")};
}

bool use_color(ColorChoice choice, const ColorEnvironment& environment, bool is_terminal) {
    if (choice != ColorChoice::automatic) {
        return choice == ColorChoice::always;
    }
    if (environment.no_color) {
        return false;
    }
    if (environment.clicolor_force && *environment.clicolor_force != "0") {
        return true;
    }
    return is_terminal && environment.term.value_or("dumb") != "dumb";
}

std::string paint(std::string_view text, Style style, bool color) {
    constexpr std::array<int, 4> kCodes = {0, 32, 33, 31};  // green, yellow, red
    const int code = kCodes.at(static_cast<std::size_t>(style));
    return color && code != 0 ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

}  // namespace opforge::tools
