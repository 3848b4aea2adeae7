#include <opforge/base/bytes.hpp>
#include <opforge/cache/digest.hpp>

#include <catch2/catch.hpp>

#include <string>

using opforge::cache::Digest;
using opforge::cache::sha256;

// The three messages of FIPS 180-2, appendix B, and the empty one.
TEST_CASE("SHA-256 gives the standard's digests", "[digest]") {
    CHECK(sha256("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256("abc").hex() ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex() ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(sha256(std::string(1'000'000, 'a')).hex() ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a digest's hex text reads back", "[digest]") {
    const Digest digest = sha256("abc");
    CHECK(Digest::from_hex(digest.hex()) == digest);
}

TEST_CASE("only 64 lower-case hex digits are a digest", "[digest]") {
    const std::string good = sha256("abc").hex();
    CHECK_FALSE(Digest::from_hex(""));
    CHECK_FALSE(Digest::from_hex(good.substr(1)));
    CHECK_FALSE(Digest::from_hex(good + "0"));
    for (const char bad : {'A', 'F', 'g', '/', ':', '`', ' ', '\0', '\x80'}) {
        for (const std::size_t place : {0U, 31U, 63U}) {
            std::string text = good;
            text[place] = bad;
            CHECK_FALSE(Digest::from_hex(text));
        }
    }
}
