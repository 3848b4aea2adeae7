// SHA-256 digests: the only names that the cache trusts.
#pragma once

#include <opforge/base/export.hpp>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace opforge::cache {

/// 32 bytes of SHA-256.
class OPFORGE_API Digest {
public:
    static constexpr std::size_t kSizeBytes = 32;
    constexpr Digest() = default;
    constexpr explicit Digest(const std::array<std::uint8_t, kSizeBytes>& bytes) : bytes_(bytes) {}

    [[nodiscard]] constexpr const std::array<std::uint8_t, kSizeBytes>& bytes() const noexcept {
        return bytes_;
    }
    /// 64 lower-case hexadecimal characters.
    [[nodiscard]] std::string hex() const;
    /// nullopt unless `text` is exactly 64 lower-case hexadecimal characters.
    [[nodiscard]] static std::optional<Digest> from_hex(std::string_view text) noexcept;

    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 sees a literal 0 in the default
    friend auto operator<=>(const Digest&, const Digest&) = default;

private:
    std::array<std::uint8_t, kSizeBytes> bytes_{};
};

[[nodiscard]] OPFORGE_API Digest sha256(std::span<const std::byte> bytes);
[[nodiscard]] OPFORGE_API Digest sha256(std::string_view text);

}  // namespace opforge::cache
