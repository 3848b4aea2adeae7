// The one file that uses OpenSSL, and only its low-level calls: the first EVP_Digest of a process
// costs about a millisecond (it loads providers), as much as a whole warm start; SHA256_* on a
// cache entry costs microseconds. OpenSSL's one-shot SHA256() is EVP underneath since 3.0, so it is
// no way out.
#define OPENSSL_SUPPRESS_DEPRECATED

#include <opforge/base/bytes.hpp>
#include <opforge/cache/digest.hpp>

#include <openssl/sha.h>

namespace opforge::cache {
namespace {

constexpr int nibble(char character) noexcept {
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    if (character >= 'a' && character <= 'f') {
        return character - 'a' + 10;
    }
    return -1;
}

}  // namespace

std::string Digest::hex() const {
    return to_hex(std::as_bytes(std::span(bytes_)));
}

std::optional<Digest> Digest::from_hex(std::string_view text) noexcept {
    if (text.size() != kSizeBytes * 2) {
        return std::nullopt;
    }
    std::array<std::uint8_t, kSizeBytes> bytes{};
    for (std::size_t i = 0; i < kSizeBytes; ++i) {
        const int high = nibble(text[2 * i]);
        const int low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return Digest(bytes);
}

Digest sha256(std::span<const std::byte> bytes) {
    // Init and Update of a plain SHA-256 cannot fail: they only touch the context.
    SHA256_CTX context;
    std::array<std::uint8_t, Digest::kSizeBytes> digest{};
    SHA256_Init(&context);
    SHA256_Update(&context, bytes.data(), bytes.size());
    SHA256_Final(digest.data(), &context);
    return Digest(digest);
}

Digest sha256(std::string_view text) {
    return sha256(as_bytes(text));
}

}  // namespace opforge::cache
