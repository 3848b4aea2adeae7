// Bit-for-bit comparison of tensors, in which any NaN equals any NaN of the same floating-point
// dtype.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace opforge::golden {

/// Index of the first element that differs; the shorter length where one is a prefix of the other;
/// nullopt where equal.
[[nodiscard]] std::optional<std::size_t>
first_difference(std::string_view dtype, std::span<const std::byte> expected,
                 std::span<const std::byte> actual) noexcept;

/// An element for people: "0x3c00 (1)"; the bits are what was compared.
[[nodiscard]] std::string show_element(std::string_view dtype, std::span<const std::byte> bytes,
                                       std::size_t index);

}  // namespace opforge::golden
