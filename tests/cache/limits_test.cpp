#include <opforge/base/error.hpp>
#include <opforge/cache/limits.hpp>

#include <catch2/catch.hpp>

using namespace opforge;
using namespace opforge::cache;

TEST_CASE("sizes are bytes, or numbers with a binary unit", "[limits]") {
    CHECK(parse_size("0", "test") == 0);
    CHECK(parse_size("1073741824", "test") == 1073741824);
    CHECK(parse_size("512M", "test") == std::uint64_t{512} << 20U);
    CHECK(parse_size("2g", "test") == std::uint64_t{2} << 30U);
    CHECK(parse_size("1.5 GiB", "test") == std::uint64_t{3} << 29U);
    CHECK(parse_size("10KB", "test") == 10240);
    CHECK(parse_size("7B", "test") == 7);
    CHECK(parse_size("1T", "test") == std::uint64_t{1} << 40U);
}

TEST_CASE("what is no size is an invalid argument that names where it stands", "[limits]") {
    for (const char* text : {"", "M", "-1", "1X", "1MM", "1 M B", "nan", "inf", "1e400", "0x10",
                             "9999999T", "1MiBs"}) {
        INFO(text);
        CHECK_THROWS_AS(parse_size(text, "OPFORGE_CACHE_MAX_SIZE"), InvalidArgument);
        CHECK_THROWS_WITH(parse_size(text, "OPFORGE_CACHE_MAX_SIZE"),
                          Catch::Contains("OPFORGE_CACHE_MAX_SIZE"));
    }
}
