// Numbers of the command line, read strictly. CLI11's own reading takes 010 for 8, 0x4 for 4, a
// negative seed for a huge one, and the largest number for one that is too large, all in silence.
#pragma once

#include <opforge/base/error.hpp>

#include <fmt/format.h>

#include <charconv>
#include <string_view>
#include <system_error>

namespace opforge::tools {

/// `text` as a decimal number. `option` is for the error's text.
/// @throws InvalidArgument where it is anything else, or not in the range.
template <typename Number>
[[nodiscard]] Number parse_number(std::string_view option, std::string_view text, Number lowest,
                                  Number highest) {
    Number value{};
    const char* end = text.data() + text.size();
    const auto [parsed, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || parsed != end || value < lowest || value > highest) {
        throw InvalidArgument(fmt::format("{} \"{}\": use a whole number from {} to {}", option,
                                          text, lowest, highest));
    }
    return value;
}

}  // namespace opforge::tools
