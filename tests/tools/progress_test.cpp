#include <progress.hpp>

#include <catch2/catch.hpp>

#include <sstream>

namespace opforge::test {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""h;
using Catch::Matchers::Contains;

TEST_CASE("a bar is as full as the work is done", "[tools]") {
    CHECK(tools::render_bar(0, 10, 10) == "[>         ]   0%");
    CHECK(tools::render_bar(5, 10, 10) == "[=====>    ]  50%");
    CHECK(tools::render_bar(10, 10, 10) == "[==========] 100%");
    CHECK(tools::render_bar(11, 10, 10) == "[==========] 100%");
    CHECK(tools::render_bar(0, 0, 4) == "[====] 100%");
}

TEST_CASE("a short run shows nothing, on a terminal or not", "[tools]") {
    std::ostringstream out;
    for (const bool terminal : {false, true}) {
        tools::Progress progress(out, terminal, 2, {1h, 0ms});
        progress.update(1, "a");
        progress.update(2, "b");
    }
    CHECK(out.str().empty());
}

TEST_CASE("a terminal's bar is drawn over itself and wiped at the end", "[tools]") {
    std::ostringstream out;
    {
        tools::Progress progress(out, true, 4, {0ms, 0ms});
        progress.update(1, "a\x1b[31m");
        CHECK_THAT(out.str(), Contains("25% a\\x1b[31m"));
    }
    CHECK(out.str().substr(out.str().size() - 4) == "\r\x1b[K");
    CHECK(out.str().find('\n') == std::string::npos);
}

TEST_CASE("a log gets whole lines, no more often than asked for", "[tools]") {
    std::ostringstream out;
    {
        tools::Progress progress(out, false, 4, {0ms, 1h});
        progress.update(1, "a");
        progress.update(2, "b");
    }
    CHECK(out.str() == " 25% a\n");
}

}  // namespace
}  // namespace opforge::test
