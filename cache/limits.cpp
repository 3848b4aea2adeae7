#include <opforge/cache/limits.hpp>

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <string>

namespace opforge::cache {
namespace {

constexpr std::string_view kUnits = "KMGT";

}  // namespace

std::uint64_t parse_size(std::string_view text, std::string_view what) {
    const auto refuse = [&] {
        return InvalidArgument(fmt::format(
            "read {}: '{}' is not a size; write bytes, or a number with K, M, G or T, as in 512M "
            "or 2G; 0 is no limit",
            what, text));
    };
    double number = 0;
    const auto [rest, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || !(number >= 0)) {
        throw refuse();
    }
    std::string_view unit = text.substr(static_cast<std::size_t>(rest - text.data()));
    while (unit.starts_with(' ')) {
        unit.remove_prefix(1);
    }
    if (!unit.empty() && unit != "B") {
        const auto letter = static_cast<char>(unit[0] & ~0x20);  // upper case
        const std::size_t power = kUnits.find(letter);
        unit.remove_prefix(1);
        if (power == std::string_view::npos || !(unit.empty() || unit == "B" || unit == "iB")) {
            throw refuse();
        }
        number = std::ldexp(number, 10 * (static_cast<int>(power) + 1));
    }
    if (number >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) {
        throw refuse();
    }
    return static_cast<std::uint64_t>(number);
}

Limits limits_of_environment() {
    Limits limits;
    if (const auto text = environment("OPFORGE_CACHE_MAX_SIZE")) {
        limits.max_bytes = parse_size(*text, "OPFORGE_CACHE_MAX_SIZE");
    }
    return limits;
}

}  // namespace opforge::cache
