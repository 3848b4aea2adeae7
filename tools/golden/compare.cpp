#include "compare.hpp"

#include "vectors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace opforge::golden {

namespace {

std::uint64_t bits_at(std::span<const std::byte> bytes, std::size_t size,
                      std::size_t index) noexcept {
    std::uint64_t bits = 0;  // little-endian, as the files are
    std::memcpy(&bits, bytes.data() + index * size, size);
    return bits;
}

// A NaN has every exponent bit set and some fraction bit: its magnitude is above the infinity's.
bool is_nan(std::string_view dtype, std::uint64_t bits) noexcept {
    if (dtype == "float16") {
        return (bits & 0x7fffU) > 0x7c00U;
    }
    if (dtype == "bfloat16") {
        return (bits & 0x7fffU) > 0x7f80U;
    }
    if (dtype == "float32") {
        return (bits & 0x7fffffffU) > 0x7f800000U;
    }
    return dtype == "float64" && (bits & 0x7fffffffffffffffU) > 0x7ff0000000000000U;
}

double half_value(std::uint64_t bits) {
    const auto fraction = static_cast<double>(bits & 0x3ffU);
    const auto exponent = static_cast<int>((bits >> 10U) & 0x1fU);
    const double magnitude = exponent == 31  ? (fraction != 0 ? std::nan("") : HUGE_VAL)
                             : exponent == 0 ? std::ldexp(fraction, -24)
                                             : std::ldexp(fraction + 1024, exponent - 25);
    return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}

double float_value(std::string_view dtype, std::uint64_t bits) {
    if (dtype == "float16") {
        return half_value(bits);
    }
    if (dtype == "float64") {
        return std::bit_cast<double>(bits);
    }
    const auto word = static_cast<std::uint32_t>(dtype == "bfloat16" ? bits << 16U : bits);
    return static_cast<double>(std::bit_cast<float>(word));
}

}  // namespace

std::optional<std::size_t> first_difference(std::string_view dtype,
                                            std::span<const std::byte> expected,
                                            std::span<const std::byte> actual) noexcept {
    const std::size_t size = dtype_bytes(dtype).value_or(1);
    const std::size_t common = std::min(expected.size(), actual.size()) / size;
    // Equal bytes are the common case, and much the faster test.
    constexpr std::size_t kChunk = 1024;
    for (std::size_t begin = 0; begin < common; begin += kChunk) {
        const std::size_t count = std::min(kChunk, common - begin);
        if (std::memcmp(expected.data() + begin * size, actual.data() + begin * size,
                        count * size) == 0) {
            continue;
        }
        for (std::size_t i = begin; i < begin + count; ++i) {
            const std::uint64_t want = bits_at(expected, size, i);
            const std::uint64_t have = bits_at(actual, size, i);
            if (want != have && !(is_nan(dtype, want) && is_nan(dtype, have))) {
                return i;
            }
        }
    }
    if (expected.size() != actual.size()) {
        return common;
    }
    return std::nullopt;
}

std::string show_element(std::string_view dtype, std::span<const std::byte> bytes,
                         std::size_t index) {
    const std::size_t size = dtype_bytes(dtype).value_or(1);
    if ((index + 1) * size > bytes.size()) {
        return "nothing";
    }
    const std::uint64_t bits = bits_at(bytes, size, index);
    const std::string hex = fmt::format("0x{:0{}x}", bits, size * 2);
    if (dtype.find("float") == std::string_view::npos) {
        return hex;
    }
    return fmt::format("{} ({:.9g})", hex, float_value(dtype, bits));
}

}  // namespace opforge::golden
