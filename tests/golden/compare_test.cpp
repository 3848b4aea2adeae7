#include "golden/compare.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

using opforge::golden::first_difference;
using opforge::golden::show_element;

namespace {

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
}

using Halves = std::vector<std::uint16_t>;

}  // namespace

TEST_CASE("equal tensors have no first difference", "[golden]") {
    CHECK_FALSE(first_difference("float16", bytes_of(Halves{1, 2, 3}), bytes_of(Halves{1, 2, 3}))
                    .has_value());
    CHECK_FALSE(first_difference("int8", {}, {}).has_value());
}

TEST_CASE("the first difference is found wherever it is", "[golden]") {
    for (const std::size_t where : {0U, 1U, 1023U, 1024U, 4998U}) {
        std::vector<std::int32_t> values(4999, 7);
        const auto expected = bytes_of(values);
        values[where] = 8;
        CHECK(first_difference("int32", expected, bytes_of(values)) == where);
    }
}

TEST_CASE("one unit in the last place is a difference, and so is the sign of zero", "[golden]") {
    CHECK(first_difference("float16", bytes_of(Halves{0x3c00}), bytes_of(Halves{0x3c01})) == 0U);
    CHECK(first_difference("float32", bytes_of(std::vector<float>{0.0F}),
                           bytes_of(std::vector<float>{-0.0F})) == 0U);
}

TEST_CASE("any NaN equals any NaN, of the floating-point dtypes alone", "[golden]") {
    CHECK_FALSE(first_difference("float16", bytes_of(Halves{0x7e00}), bytes_of(Halves{0xfc01}))
                    .has_value());
    CHECK_FALSE(first_difference("bfloat16", bytes_of(Halves{0x7fc0}), bytes_of(Halves{0xff81}))
                    .has_value());
    CHECK_FALSE(first_difference("float32", bytes_of(std::vector<std::uint32_t>{0x7fc00000}),
                                 bytes_of(std::vector<std::uint32_t>{0xff800001}))
                    .has_value());
    CHECK_FALSE(first_difference("float64",
                                 bytes_of(std::vector<std::uint64_t>{0x7ff8000000000000}),
                                 bytes_of(std::vector<std::uint64_t>{0xfff0000000000001}))
                    .has_value());
    CHECK(first_difference("int16", bytes_of(Halves{0x7e00}), bytes_of(Halves{0xfe01})) == 0U);
    CHECK(first_difference("bfloat16", bytes_of(Halves{0x7e00}), bytes_of(Halves{0x7e01})) == 0U);
}

TEST_CASE("an infinity equals neither a NaN nor its negative", "[golden]") {
    CHECK(first_difference("float16", bytes_of(Halves{0x7c00}), bytes_of(Halves{0x7c01})) == 0U);
    CHECK(first_difference("float16", bytes_of(Halves{0x7c00}), bytes_of(Halves{0xfc00})) == 0U);
    CHECK(first_difference("float32", bytes_of(std::vector<std::uint32_t>{0x7f800000}),
                           bytes_of(std::vector<std::uint32_t>{0x7f800001})) == 0U);
}

TEST_CASE("a prefix differs where it ends", "[golden]") {
    CHECK(first_difference("float16", bytes_of(Halves{1, 2, 3}), bytes_of(Halves{1, 2})) == 2U);
    CHECK(first_difference("float16", {}, bytes_of(Halves{1})) == 0U);
}

TEST_CASE("an element is shown as bits and as a value", "[golden]") {
    CHECK(show_element("float16", bytes_of(Halves{0x3c00, 0xc100}), 1) == "0xc100 (-2.5)");
    CHECK(show_element("float16", bytes_of(Halves{0x0001}), 0) == "0x0001 (5.96046448e-08)");
    CHECK(show_element("bfloat16", bytes_of(Halves{0x3f80}), 0) == "0x3f80 (1)");
    CHECK(show_element("float32", bytes_of(std::vector<float>{0.25F}), 0) == "0x3e800000 (0.25)");
    CHECK(show_element("int8", bytes_of(std::vector<std::int8_t>{-1}), 0) == "0xff");
    CHECK(show_element("int8", {}, 0) == "nothing");
}
