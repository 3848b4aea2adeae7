// Each field that explain can name, and what it says of it: the words are part of the interface.
#include "support/fake_compiler.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/explain.hpp>
#include <opforge/builder/quantizer_builder.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <functional>

namespace opforge::test {
namespace {

using namespace builder;

cache::Request sample_request() {
    cache::Request request;
    request.op = "quantizer";
    request.program = "fake_quantize";
    request.source = cache::sha256("source");
    request.headers = {{"opforge/kernels/pack.cuh", cache::sha256("pack")},
                       {"opforge/kernels/rounding.cuh", cache::sha256("rounding")}};
    request.options = {"--std=c++17", "--fmad=false"};
    request.defines = {{"BITS", "8"}};
    request.kernels = {"b", "a"};
    request.target = "sm_90";
    request.artifact_kind = "cubin";
    return request;
}

cache::Manifest sample_manifest() {
    cache::Manifest manifest;
    manifest.request = sample_request();
    manifest.toolchain = {"nvrtc", 12, 9, "aa+bb"};
    return manifest;
}

std::string hex(const char* text) {
    return cache::sha256(std::string_view(text)).hex();
}

struct Golden {
    const char* field;
    std::function<void(cache::Request&)> change;  // of what is asked for
    std::optional<std::string> asked;
    std::optional<std::string> found;
    const char* text;
};

TEST_CASE("each field of a request that differs is named, with both sides", "[builder]") {
    const std::vector<Golden> cases = {
        {"op", [](auto& request) { request.op = "other"; }, "other", "quantizer",
         "op quantizer → other"},
        {"program", [](auto& request) { request.program = "other"; }, "other", "fake_quantize",
         "program fake_quantize → other"},
        {"source", [](auto& request) { request.source = cache::sha256("new"); }, hex("new"),
         hex("source"), "source changed"},
        {"header opforge/kernels/pack.cuh",
         [](auto& request) { request.headers[0].digest = cache::sha256("new"); }, hex("new"),
         hex("pack"), "header opforge/kernels/pack.cuh changed"},
        {"header opforge/kernels/new.cuh",
         [](auto& request) {
             request.headers.push_back({"opforge/kernels/new.cuh", cache::sha256("new")});
         },
         hex("new"), std::nullopt, "header opforge/kernels/new.cuh is new"},
        {"header opforge/kernels/rounding.cuh", [](auto& request) { request.headers.pop_back(); },
         std::nullopt, hex("rounding"),
         "header opforge/kernels/rounding.cuh is no longer asked for"},
        {"option --fmad", [](auto& request) { request.options[1] = "--fmad=true"; }, "true",
         "false", "option --fmad false → true"},
        {"option --ftz", [](auto& request) { request.options.push_back("--ftz=true"); }, "true",
         std::nullopt, "option --ftz is new"},
        {"define BITS", [](auto& request) { request.defines[0].second = "4"; }, "4", "8",
         "define BITS 8 → 4"},
        {"kernels", [](auto& request) { request.kernels.push_back("c"); }, "a, b, c", "a, b",
         "kernels a, b → a, b, c"},
        {"target", [](auto& request) { request.target = "sm_80"; }, "sm_80", "sm_90",
         "target sm_90 → sm_80"},
        {"artifact_kind", [](auto& request) { request.artifact_kind = "ptx"; }, "ptx", "cubin",
         "artifact_kind cubin → ptx"},
    };
    for (const Golden& golden : cases) {
        INFO(golden.field);
        cache::Request asked = sample_request();
        golden.change(asked);
        const auto differs = differences(asked, std::nullopt, sample_manifest());
        REQUIRE(differs.size() == 1);
        CHECK(differs[0] == FieldDifference{golden.field, golden.asked, golden.found});
        CHECK(differs[0].text() == golden.text);
    }
}

TEST_CASE("toolchains differ in their version, else in their fingerprint", "[builder]") {
    const auto differs = [](const cache::Toolchain& toolchain) {
        return differences(sample_request(), toolchain, sample_manifest());
    };
    CHECK(differs({"nvrtc", 12, 9, "aa+bb"}).empty());
    const auto version = differs({"nvrtc", 13, 0, "cc+dd"});
    REQUIRE(version.size() == 1);
    CHECK(version[0] == FieldDifference{"toolchain", "nvrtc 13.0", "nvrtc 12.9"});
    CHECK(version[0].text() == "nvrtc 12.9 → 13.0");
    const auto other = differs({"clang", 14, 0, ""});
    CHECK(other.at(0).text() == "nvrtc 12.9 → clang 14.0");
    const auto build = differs({"nvrtc", 12, 9, "cc+dd"});
    REQUIRE(build.size() == 1);
    CHECK(build[0] == FieldDifference{"toolchain fingerprint", "cc+dd", "aa+bb"});
    CHECK(build[0].text() == "toolchain fingerprint changed");
}

TEST_CASE("the order of lists is no difference", "[builder]") {
    cache::Request asked = sample_request();
    std::swap(asked.headers[0], asked.headers[1]);
    std::swap(asked.options[0], asked.options[1]);
    std::swap(asked.kernels[0], asked.kernels[1]);
    CHECK(differences(asked, std::nullopt, sample_manifest()).empty());
}

// One op in one folder, with a compiler that can be changed.
struct Fixture {
    TemporaryDirectory folder;
    std::shared_ptr<FakeCompiler> compiler = std::make_shared<FakeCompiler>();
    BuilderContext context;

    Fixture() {
        cache::CacheOptions options;
        options.directory = folder.path() / "cache";
        context.cache = std::make_shared<cache::Cache>(options);
        context.compiler = compiler;
        context.policy = cache::Policy::exact;
    }
    [[nodiscard]] Explanation explain_one(const std::string& target = "sm_90") const {
        const QuantizerBuilder builder(context);
        return builder::explain(builder, {parse_target(target)}, {"dequantize_fp16"}).at(0);
    }
    [[nodiscard]] std::filesystem::path build(const std::string& target) const {
        const QuantizerBuilder builder(context);
        return builder.build_program(parse_target(target), "dequantize_fp16").directory;
    }
};

TEST_CASE("an entry that serves is a hit, told with its layer and its folder", "[builder]") {
    const Fixture fixture;
    const auto entry = fixture.build("sm_90");
    const Explanation told = fixture.explain_one();
    CHECK(told.hit);
    REQUIRE(told.layers.size() == 1);
    CHECK(told.layers[0].hit);
    CHECK(told.layers[0].nearest == entry);
    CHECK(told.layers[0].layer == fixture.folder.path() / "cache");
    CHECK(told.telling() == &told.layers[0]);
    CHECK(told.telling()->differs.empty());
}

TEST_CASE("an empty cache has no entry of the program", "[builder]") {
    const Fixture fixture;
    const Explanation told = fixture.explain_one();
    CHECK_FALSE(told.hit);
    CHECK(told.telling()->nearest.empty());
    REQUIRE(told.telling()->differs.size() == 1);
    CHECK(told.telling()->differs[0] ==
          FieldDifference{"program", "dequantize_fp16", std::nullopt});
    CHECK(told.telling()->differs[0].text() == "no entry of program dequantize_fp16");
    CHECK_FALSE(std::filesystem::exists(fixture.folder.path() / "cache"));
}

TEST_CASE("another toolchain's entry misses under exact and hits under compatible", "[builder]") {
    Fixture fixture;
    static_cast<void>(fixture.build("sm_90"));
    fixture.compiler->set_toolchain(cache::Toolchain{"nvrtc", 13, 1, "new"});
    const Explanation told = fixture.explain_one();
    CHECK_FALSE(told.hit);
    CHECK(told.telling()->differs.at(0).text() == "nvrtc 13.0 → 13.1");
    fixture.compiler->set_toolchain(std::nullopt);
    CHECK(fixture.explain_one().telling()->differs.at(0).field == "toolchain");
    CHECK_FALSE(fixture.explain_one().hit);
    fixture.context.policy = cache::Policy::compatible;
    CHECK(fixture.explain_one().hit);
    fixture.context.policy = cache::Policy::offline;
    CHECK(fixture.explain_one().hit);
}

TEST_CASE("the nearest entry is one of the same target, whatever else differs", "[builder]") {
    Fixture fixture;
    static_cast<void>(fixture.build("sm_80"));  // differs in the target alone
    const Explanation other = fixture.explain_one();
    REQUIRE(other.telling()->differs.size() == 1);
    CHECK(other.telling()->differs[0] == FieldDifference{"target", "sm_90", "sm_80"});
    fixture.compiler->set_toolchain(cache::Toolchain{"nvrtc", 12, 0, "old"});
    const auto same_target = fixture.build("sm_90");
    fixture.compiler->set_toolchain(cache::Toolchain{"nvrtc", 13, 0, "fake+fake"});
    CHECK(fixture.explain_one().telling()->nearest == same_target);
}

TEST_CASE("an entry with the key that is not sound is told with what is wrong", "[builder]") {
    const Fixture fixture;
    const auto entry = fixture.build("sm_90");
    write_file(entry / "kernels.cubin", "not what was published");
    const Explanation told = fixture.explain_one();
    CHECK_FALSE(told.hit);
    CHECK(told.telling()->nearest == entry);
    REQUIRE(told.telling()->differs.size() == 1);
    CHECK(told.telling()->differs[0].field == "integrity");
    CHECK_FALSE(told.telling()->differs[0].asked.has_value());
    CHECK(told.telling()->differs[0].text().starts_with("the entry is not sound: "));
    CHECK(std::filesystem::exists(entry));  // explaining moves nothing
}

TEST_CASE("a target with a suffix nobody wants is explained once", "[builder]") {
    const Fixture fixture;
    const QuantizerBuilder builder(fixture.context);
    const auto told = builder::explain(builder, {parse_target("sm_90"), parse_target("sm_90a")},
                                       {"dequantize_fp16"});
    CHECK(told.size() == 1);
    CHECK_THROWS_AS(builder::explain(builder, {parse_target("sm_90")}, {"none"}), InvalidArgument);
}

}  // namespace
}  // namespace opforge::test
