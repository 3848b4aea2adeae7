#include "support/cache_samples.hpp"

#include <opforge/base/error.hpp>
#include <opforge/cache/errors.hpp>
#include <opforge/cache/manifest.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace opforge;
using namespace opforge::cache;

namespace {

Manifest sample() {
    return test::sample_built(canonical(test::sample_request())).manifest;
}

// A changed text with a seal that fits: a test of what lies behind the seal must get past it.
std::string resealed(const std::string& manifest_text, std::string_view from, std::string_view to) {
    std::string text = manifest_text;
    const std::size_t place = text.find(from);
    if (place == std::string::npos) {
        throw std::logic_error("resealed: no '" + std::string(from) + "' in " + text);
    }
    text.replace(place, from.size(), to);
    constexpr std::string_view kSeal = "\"manifest_sha256\":\"";
    const std::size_t seal = text.find(kSeal);
    // The field with its comma: it is never the last one.
    std::string rest = text;
    rest.erase(seal, kSeal.size() + 64 + 2);
    text.replace(seal + kSeal.size(), 64, sha256(rest).hex());
    return text;
}

// The records of the loaded kernels, which come after the inputs' names.
std::string kernels_of(const std::string& manifest_text) {
    const std::size_t begin = manifest_text.find("\"kernels\":[{");
    return manifest_text.substr(begin, manifest_text.find(']', begin) + 1 - begin);
}

std::string refusal_of(const std::string& text) {
    try {
        static_cast<void>(parse_manifest(text));
    } catch (const IntegrityError& error) {
        return error.reason();
    }
    return "accepted";
}

// Code points rather than bytes, so that every text is UTF-8: ASCII with its control characters,
// and some of two, three and four bytes.
std::string any_text() {
    std::string text;
    const int length = *rc::gen::inRange(0, 12);
    for (int i = 0; i < length; ++i) {
        const int pick = *rc::gen::inRange(0, 132);
        const std::vector<std::string> wide = {"\u00e9", "\u2028", "\uffff", "\U0001f600"};
        text += pick < 128 ? std::string(1, static_cast<char>(pick))
                           : wide[static_cast<std::size_t>(pick - 128)];
    }
    return text;
}

Manifest any_manifest() {
    Manifest manifest = sample();
    Request& request = manifest.request;
    request.op = any_text();
    request.program = any_text();
    request.target = any_text();
    request.options = {any_text(), any_text()};
    request.kernels = {any_text()};
    request.defines = {{any_text() + "A", any_text()}, {any_text() + "BB", any_text()}};
    request.headers = {{any_text(), sha256(any_text())}};
    request.artifact_kind = manifest.artifact.kind =
        *rc::gen::element(std::string("cubin"), std::string("ptx"));
    request = canonical(std::move(request));
    manifest.toolchain = {any_text(), *rc::gen::inRange(0, 1 << 30), *rc::gen::inRange(0, 100),
                          any_text()};
    manifest.artifact.sha256 = sha256(any_text());
    manifest.artifact.size_bytes = *rc::gen::inRange<std::uint64_t>(0, kMaxArtifactBytes + 1);
    manifest.kernels = {{any_text(), any_text(), *rc::gen::inRange(-1, 256),
                         *rc::gen::inRange<std::int64_t>(-1, 1LL << 40)}};
    manifest.minimum_driver = *rc::gen::inRange(0, 99999);
    manifest.compile_microseconds =
        *rc::gen::inRange<std::int64_t>(0, std::numeric_limits<std::int64_t>::max());
    manifest.compile_log = any_text();
    manifest.producer = any_text();
    return manifest;
}

}  // namespace

TEST_CASE("a manifest reads back as written", "[manifest]") {
    CHECK(rc::check([] {
        const Manifest manifest = any_manifest();
        const std::string text = to_canonical_json(manifest);
        const Manifest read = parse_manifest(text);
        RC_ASSERT(read == manifest);
        RC_ASSERT(to_canonical_json(read) == text);
    }));
}

TEST_CASE("two manifests are equal where every field is", "[manifest]") {
    using Change = std::function<void(Manifest&)>;
    const std::vector<Change> changes = {
        [](Manifest& m) { m.request.program += "x"; },
        [](Manifest& m) { m.toolchain.name += "x"; },
        [](Manifest& m) { ++m.toolchain.major; },
        [](Manifest& m) { ++m.toolchain.minor; },
        [](Manifest& m) { m.toolchain.fingerprint += "x"; },
        [](Manifest& m) { m.artifact.kind += "x"; },
        [](Manifest& m) { m.artifact.sha256 = sha256("other"); },
        [](Manifest& m) { ++m.artifact.size_bytes; },
        [](Manifest& m) { m.kernels.pop_back(); },
        [](Manifest& m) { m.kernels[0].name += "x"; },
        [](Manifest& m) { m.kernels[0].lowered_name += "x"; },
        [](Manifest& m) { ++m.kernels[0].registers; },
        [](Manifest& m) { ++m.kernels[0].static_shared_bytes; },
        [](Manifest& m) { ++m.minimum_driver; },
        [](Manifest& m) { ++m.compile_microseconds; },
        [](Manifest& m) { m.compile_log += "x"; },
        [](Manifest& m) { m.producer += "x"; },
        [](Manifest& m) { m.extra_json = "{\"x\":1}"; },
    };
    const Manifest original = sample();
    CHECK(sample() == original);
    for (std::size_t i = 0; i < changes.size(); ++i) {
        INFO("change " << i);
        Manifest changed = original;
        changes[i](changed);
        CHECK_FALSE(changed == original);
    }
}

TEST_CASE("unknown top-level fields of a newer writer are kept", "[manifest]") {
    Manifest manifest = sample();
    manifest.extra_json = R"({"aaa":{"deep":[1,null,true]},"zzz":"signed"})";
    const std::string text = to_canonical_json(manifest);
    const Manifest read = parse_manifest(text);
    CHECK(read == manifest);
    CHECK(to_canonical_json(read) == text);
}

TEST_CASE("unknown fields inside an object are refused", "[manifest]") {
    const std::string text = to_canonical_json(sample());
    for (const char* object :
         {"artifact\":{", "requires\":{", "timings\":{", "toolchain\":{", "inputs\":{"}) {
        INFO(object);
        CHECK_THAT(refusal_of(resealed(text, object, object + std::string("\"a\":1,"))),
                   Catch::Contains("is not an object of the fields expected"));
    }
}

// What the seal and the digests vouch for is not enough: each is checked by a text whose seal fits.
TEST_CASE("a manifest that lies is refused although its seal fits", "[manifest]") {
    const std::string text = to_canonical_json(sample());
    REQUIRE(refusal_of(resealed(text, "44000", "44001")) == "accepted");
    const std::string other = sha256("other").hex();
    using Lie = std::vector<std::string>;  // from, to, reason
    for (const Lie& lie : std::vector<Lie>{
             {"\"schema\":1,\"target\"", "\"schema\":2,\"target\"", "another schema"},
             {"\"schema\":1,\"source\"", "\"schema\":2,\"source\"", "another schema"},
             {"want_digest\":\"" + want_digest(test::sample_request()).hex(),
              "want_digest\":\"" + other, "do not hash"},
             {"full_digest\":\"" +
                  full_digest(test::sample_request(), test::sample_toolchain()).hex(),
              "full_digest\":\"" + other, "do not hash"},
             {"--fmad=false", "--fmad=talse", "do not hash"},
             {"a1b2/c", "a1b2/d", "do not hash"},
             {"\"target\":\"sm_90\"},\"kernels\"", "\"target\":\"sm_80\"},\"kernels\"", "'target'"},
             {"\"kind\":\"cubin\"", "\"kind\":\"ptx\"", "another kind"},
             {"\"kind\":\"cubin\"", "\"kind\":\"../../etc/passwd\"", "another kind"},
             {"[\"quantize_asymmetric\",\"quantize_symmetric\"]",
              "[\"quantize_symmetric\",\"quantize_asymmetric\"]", "not sorted"},
             {"\"bytes\":200", "\"bytes\":268435457", "integer from 0"},
             {"\"bytes\":200", "\"bytes\":-1", "integer from 0"},
             {"\"bytes\":200", "\"bytes\":18446744073709551615", "integer from 0"},
             {"\"bytes\":200", "\"bytes\":true", "integer from 0"},
             {"\"bytes\":200", "\"bytes\":\"200\"", "integer from 0"},
             {"\"minor\":0", "\"minor\":2147483648", "integer from 0"},
             {"\"registers\":32", "\"registers\":-2", "integer from -1"},
             {"\"minimum_driver\":13000", "\"minimum_driver\":null", "integer from 0"},
             {"\"op\":\"quantizer\"", "\"op\":7", "not a text"},
             {"\"defines\":{\"OPFORGE_ASYM\":\"\"", "\"defines\":{\"OPFORGE_ASYM\":0",
              "define that is not a text"},
             {"\"kernels\":[{", "\"kernels\":[[],{", "a kernel"},
             {kernels_of(text), "\"kernels\":{}", "not a list"},
             {"\"options\":[\"--fmad=false\",\"--std=c++17\"]", "\"options\":7", "not a list"},
             {"\"options\":[\"--fmad=false\",", "\"options\":[7,", "does not list texts"},
             {"\"defines\":{\"OPFORGE_ASYM\":\"\",\"OPFORGE_BITS\":\"8\"}", "\"defines\":[]",
              "not an object"},
             {"\"sha256\":\"", "\"sha256\":\"A", "64 lower-case hex"},
             {"\"producer\"", "\"q\"", "expected"},
         }) {
        INFO(lie[0] << " -> " << lie[1]);
        CHECK_THAT(refusal_of(resealed(text, lie[0], lie[1])), Catch::Contains(lie[2]));
    }
}

TEST_CASE("a manifest that is not sealed, or in another spelling, is refused", "[manifest]") {
    const std::string text = to_canonical_json(sample());
    std::string unsealed = text;
    unsealed.erase(text.find("\"manifest_sha256\""), 17 + 1 + 66 + 1);
    CHECK_THAT(refusal_of(unsealed), Catch::Contains("no seal"));

    std::string other_seal = text;
    other_seal.replace(text.find("\"manifest_sha256\":\"") + 19, 64, sha256("other").hex());
    CHECK_THAT(refusal_of(other_seal), Catch::Contains("does not match"));

    CHECK_THAT(refusal_of(text + "\n"), Catch::Contains("canonical"));
    CHECK_THAT(refusal_of(std::string(" ").append(text)), Catch::Contains("canonical"));
    CHECK_THAT(refusal_of(std::string("\xef\xbb\xbf").append(text)), Catch::Contains("canonical"));
    CHECK_THAT(refusal_of(text + std::string(1, '\0') + "more"), Catch::Contains("canonical"));
    std::string escaped = text;
    escaped.replace(text.find("sm_90"), 1, "\\u0073");
    CHECK_THAT(refusal_of(escaped), Catch::Contains("canonical"));
    std::string minus_zero = text;
    minus_zero.replace(text.find("\"minor\":0"), 9, "\"minor\":-0");
    CHECK_THAT(refusal_of(minus_zero), Catch::Contains("canonical"));
}

TEST_CASE("hostile texts are refused before a document is built from them", "[manifest]") {
    const auto nested = [](int depth, const std::string& open, const std::string& close) {
        std::string text;
        for (int i = 0; i < depth; ++i) {
            text += open;
        }
        text += "1";
        for (int i = 0; i < depth; ++i) {
            text += close;
        }
        return text;
    };
    CHECK_THAT(refusal_of(nested(16, "[", "]")), Catch::Contains("not an object"));
    CHECK_THAT(refusal_of(nested(17, "[", "]")), Catch::Contains("nested deeper than 16"));
    CHECK_THAT(refusal_of(nested(500'000, "[", "]")), Catch::Contains("nested deeper than 16"));
    CHECK_THAT(refusal_of(nested(17, "{\"a\":", "}")), Catch::Contains("nested deeper than 16"));
    CHECK_THAT(refusal_of(R"({"a":1,"a":1})"), Catch::Contains("\"a\" appears twice"));
    CHECK_THAT(refusal_of(R"({"x":{"a":1,"\u0061":2}})"), Catch::Contains("appears twice"));
    CHECK_THAT(refusal_of(R"({"a":1.0})"), Catch::Contains("not an integer"));
    CHECK_THAT(refusal_of(R"({"a":1e3})"), Catch::Contains("not an integer"));
    CHECK_THAT(refusal_of(R"({"a":18446744073709551616})"), Catch::Contains("not an integer"));
    CHECK_THAT(refusal_of(R"({"a":NaN})"), Catch::Contains("not JSON at byte"));
    CHECK_THAT(refusal_of("{\"a\":\"\xff\"}"), Catch::Contains("not JSON at byte"));
    CHECK_THAT(refusal_of("/**/{}"), Catch::Contains("not JSON at byte"));
    for (const char* text : {"", "{", "[", "\"", "nul", "{\"a\"", "{}}", "{\"\\ud800\":1}"}) {
        INFO(text);
        CHECK_THAT(refusal_of(text), Catch::Contains("not JSON at byte"));
    }
    for (const char* text : {"null", "1", "\"\"", "[]", "true"}) {
        INFO(text);
        CHECK_THAT(refusal_of(text), Catch::Contains("not an object"));
    }
    CHECK_THAT(refusal_of("{}"), Catch::Contains("no seal"));
}

TEST_CASE("a manifest above its cap is refused unread", "[manifest]") {
    CHECK_THAT(refusal_of(std::string(kMaxManifestBytes + 1, '[')),
               Catch::Contains("above the cap"));
    CHECK_THAT(refusal_of(std::string(kMaxManifestBytes, '[')), Catch::Contains("nested deeper"));
}

// What stands in a file goes into messages and logs: no terminal commands, no megabytes.
TEST_CASE("a hostile key or number is quoted short and in plain ASCII", "[manifest]") {
    const std::string key = "\\u001b[2J" + std::string(10'000, 'k');
    const std::string reason = refusal_of("{\"" + key + "\":1,\"" + key + "\":2}");
    CHECK_THAT(reason, Catch::Contains("appears twice"));
    CHECK(reason.size() < 200);
    CHECK(reason.find('\x1b') == std::string::npos);
    CHECK(refusal_of("{\"a\":1." + std::string(10'000, '0') + "}").size() < 200);
}

TEST_CASE("what cannot be stored soundly is an invalid argument", "[manifest]") {
    const auto refused = [](auto change) {
        Manifest manifest = sample();
        change(manifest);
        CHECK_THROWS_AS(to_canonical_json(manifest), InvalidArgument);
    };
    refused(
        [](Manifest& m) { m.artifact.kind = m.request.artifact_kind = std::string("../cubin"); });
    refused([](Manifest& m) { m.artifact.kind = m.request.artifact_kind = std::string(""); });
    refused([](Manifest& m) { m.artifact.kind = std::string("ptx"); });
    refused([](Manifest& m) { m.artifact.size_bytes = kMaxArtifactBytes + 1; });
    refused([](Manifest& m) { m.minimum_driver = -1; });
    refused([](Manifest& m) { m.compile_microseconds = -1; });
    refused([](Manifest& m) { m.toolchain.major = -1; });
    refused([](Manifest& m) { m.kernels[0].registers = -2; });
    refused([](Manifest& m) { m.producer = std::string("\xff"); });
    refused([](Manifest& m) { m.producer = std::string(kMaxManifestBytes, 'x'); });
    refused([](Manifest& m) { m.extra_json = std::string("[]"); });
    refused([](Manifest& m) { m.extra_json = std::string("{"); });
    refused([](Manifest& m) { m.extra_json = std::string(R"({"target":"sm_80"})"); });
    refused([](Manifest& m) { m.extra_json = std::string(R"({"x":1.5})"); });
}

// A compiler's log is for people: it must never keep a sound kernel out of the cache.
TEST_CASE("a log that is huge or not UTF-8 is cut and mended", "[manifest]") {
    Manifest manifest = sample();
    manifest.compile_log = "bad byte \xff here";
    CHECK(parse_manifest(to_canonical_json(manifest)).compile_log == "bad byte \uFFFD here");

    for (const char fill : {'x', '\x01', '\xff'}) {
        manifest.compile_log = std::string(4U << 20U, fill);
        const std::string log = parse_manifest(to_canonical_json(manifest)).compile_log;
        CHECK(log.size() < 256 * 1024);
        CHECK_THAT(log, Catch::EndsWith("[cut here]"));
    }
}
