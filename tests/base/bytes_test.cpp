#include <opforge/base/bytes.hpp>

#include <catch2/catch.hpp>

TEST_CASE("hexadecimal is lower case, two characters a byte", "[base]") {
    CHECK(opforge::to_hex(opforge::as_bytes(std::string_view("\x00\x0f\xf0\xff", 4))) ==
          "000ff0ff");
    CHECK(opforge::to_hex({}).empty());
}

TEST_CASE("sizes are shown in binary units", "[base]") {
    CHECK(opforge::format_size(0) == "0 B");
    CHECK(opforge::format_size(1023) == "1023 B");
    CHECK(opforge::format_size(1536) == "1.5 KiB");
    CHECK(opforge::format_size(std::uint64_t{3} << 30U) == "3.0 GiB");
}
