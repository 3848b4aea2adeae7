// Bytes as text and text as bytes.
#pragma once

#include <opforge/base/export.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace opforge {

using Bytes = std::vector<std::byte>;

/// Lower-case hexadecimal, two characters a byte.
[[nodiscard]] OPFORGE_API std::string to_hex(std::span<const std::byte> bytes);

[[nodiscard]] OPFORGE_API std::span<const std::byte> as_bytes(std::string_view text) noexcept;

/// 1536 -> "1.5 KiB": for people; machines get the number.
[[nodiscard]] OPFORGE_API std::string format_size(std::uint64_t size_bytes);

}  // namespace opforge
