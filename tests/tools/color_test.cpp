#include <color.hpp>

#include <opforge/base/error.hpp>

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using tools::ColorChoice;
using tools::ColorEnvironment;
using tools::use_color;

TEST_CASE("colour: the option, then NO_COLOR, then CLICOLOR_FORCE, then the terminal", "[tools]") {
    const std::optional<std::string> none;
    struct Cell {
        ColorEnvironment environment;
        bool on_terminal;
        bool elsewhere;
    };
    const std::vector<Cell> cells = {
        {{none, none, "xterm"}, true, false}, {{none, none, "dumb"}, false, false},
        {{none, none, none}, false, false},   {{"1", none, "xterm"}, false, false},
        {{"1", "1", "xterm"}, false, false},  {{none, "1", "xterm"}, true, true},
        {{none, "1", "dumb"}, true, true},    {{none, "0", "xterm"}, true, false},
        {{none, "0", "dumb"}, false, false},
    };
    for (const Cell& cell : cells) {
        INFO(cell.environment.no_color.value_or("-")
             << ' ' << cell.environment.clicolor_force.value_or("-") << ' '
             << cell.environment.term.value_or("-"));
        for (const bool terminal : {false, true}) {
            CHECK(use_color(ColorChoice::automatic, cell.environment, terminal) ==
                  (terminal ? cell.on_terminal : cell.elsewhere));
            CHECK(use_color(ColorChoice::always, cell.environment, terminal));
            CHECK_FALSE(use_color(ColorChoice::never, cell.environment, terminal));
        }
    }
}

TEST_CASE("text is painted only where there is colour", "[tools]") {
    CHECK(tools::paint("ok", tools::Style::good, true) == "\x1b[32mok\x1b[0m");
    CHECK(tools::paint("ok", tools::Style::good, false) == "ok");
    CHECK(tools::paint("ok", tools::Style::plain, true) == "ok");
    CHECK_THROWS_AS(tools::parse_color_choice("blue"), InvalidArgument);
}

}  // namespace
}  // namespace opforge::test
