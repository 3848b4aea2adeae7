// The vectors of docs/key.md, made there by a Python program that shares nothing with opforge. A
// failure means that every cache in the field would miss: raise kSchema, or mend the code, never
// the literals.
#include <opforge/cache/cache_key.hpp>

#include "support/cache_samples.hpp"

#include <catch2/catch.hpp>

using namespace opforge::cache;
using namespace std::string_literals;

namespace {

void check(const Request& request, const Toolchain& toolchain, const char* want, const char* full,
           const char* name) {
    CHECK(want_digest(request).hex() == want);
    CHECK(full_digest(request, toolchain).hex() == full);
    CHECK(entry_name(want_digest(request), toolchain) == name);
}

}  // namespace

TEST_CASE("the full request of docs/key.md has its digests", "[cache_key]") {
    check(opforge::test::sample_request(), opforge::test::sample_toolchain(),
          "365e9a47db846745d976a5acd7283eaf8da1ecf0574b360a8675f40cb57a09c2",
          "7a66cae6b9d47bb2c9c22f512621813317b6d089b9b54ab7fd459f69434f696e",
          "365e9a47db846745d976a5acd7283eaf8da1ecf0574b360a8675f40cb57a09c2.49ff38fc6e42");
}

TEST_CASE("the empty request of docs/key.md has its digests", "[cache_key]") {
    check(Request(), Toolchain(),
          "4441dc65d171698781d2901668d4c3ab238d6a4c7bc9aac581ad145611e3c2ee",
          "63e511f56588b677457a7b4d8315b29ddbdf0dae564f435d969ce3fa2fd86dbf",
          "4441dc65d171698781d2901668d4c3ab238d6a4c7bc9aac581ad145611e3c2ee.a67d5d275819");
}

TEST_CASE("the odd texts of docs/key.md have their digests", "[cache_key]") {
    Request request;
    request.op = "quote \" backslash \\ slash /";
    request.program = "tab\t newline\n bell\x07 delete\x7f";
    const Digest empty = sha256(std::string_view());
    request.headers = {{"\xc3\xa4.cuh", empty}, {"z.cuh", empty}};
    request.options = {"-\xf0\x9f\x98\x80", "-\xc3\xb6"};
    request.defines = {{"A", "\x00\x1f\b\f\r"s}};
    request.kernels = {"a", "a"};
    request.target = "compute_90";
    request.artifact_kind = "ptx";
    check(request, {"nvrtc", 12, 9, "\xc3\xa9"},
          "493c2d510834180128f3072b694e21a6c517cb66a5cc877d52707c3c2fcd80b7",
          "b7751c2c0d9c84809f46ba98386340fdd14606922fe5ee908501083ce0abaf56",
          "493c2d510834180128f3072b694e21a6c517cb66a5cc877d52707c3c2fcd80b7.3970e7346610");
}
