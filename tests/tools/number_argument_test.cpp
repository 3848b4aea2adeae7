#include <number_argument.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <limits>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;
using tools::parse_number;

TEST_CASE("a number of the command line is decimal, whole and in its range", "[tools]") {
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
    CHECK(parse_number("--bits", "16", 2, 16) == 16);
    CHECK(parse_number("--bits", "010", 2, 16) == 10);
    CHECK(parse_number<std::uint64_t>("--seed", "18446744073709551615", 0, kMost) == kMost);
    for (const char* text : {"", " 4", "4 ", "+4", "0x4", "4.0", "4e0", "four", "-4", "1", "17",
                             "4294967300", "99999999999999999999999"}) {
        INFO(text);
        CHECK_THROWS_WITH(parse_number("--bits", text, 2, 16),
                          Contains("--bits") && Contains("from 2 to 16"));
    }
    for (const char* text : {"-1", "18446744073709551616"}) {
        INFO(text);
        CHECK_THROWS_AS(parse_number<std::uint64_t>("--seed", text, 0, kMost), InvalidArgument);
    }
}

}  // namespace
}  // namespace opforge::test
