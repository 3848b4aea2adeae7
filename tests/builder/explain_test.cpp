// Each field that explain can name, and what it says of it: the words are part of the interface.
#include "support/fake_compiler.hpp"
#include "support/fake_driver.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/explain.hpp>
#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/cache/seal.hpp>

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
        open({});
        context.compiler = compiler;
        context.policy = cache::Policy::exact;
    }
    void open(std::vector<cache::LayerSpec> layers, const char* directory = "cache") {
        cache::CacheOptions options;
        options.directory = folder.path() / directory;
        options.layers = std::move(layers);
        context.cache = std::make_shared<cache::Cache>(options);
    }
    // A layer with the program for one target.
    std::filesystem::path make_layer(const char* name, const std::string& target) {
        open({}, name);
        static_cast<void>(build(target));
        open({});
        return folder.path() / name;
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

TEST_CASE("each layer is told of in its order, with its own nearest entry", "[builder]") {
    Fixture fixture;
    const auto first = fixture.make_layer("first", "sm_80");
    fixture.compiler->set_toolchain(cache::Toolchain{"nvrtc", 12, 9, "old"});
    const auto second = fixture.make_layer("second", "sm_90");
    fixture.compiler->set_toolchain(cache::Toolchain{"nvrtc", 13, 0, "new"});
    fixture.open({{first}, {second}});
    const Explanation miss = fixture.explain_one();
    CHECK_FALSE(miss.hit);
    REQUIRE(miss.layers.size() == 3);
    CHECK(miss.layers[0].layer == first);
    CHECK(miss.layers[0].differs.at(0).text() == "target sm_80 → sm_90");
    CHECK(miss.layers[1].layer == second);
    CHECK(miss.layers[1].differs.at(0).text() == "nvrtc 12.9 → 13.0");
    CHECK(miss.layers[2].layer == fixture.folder.path() / "cache");
    CHECK(miss.layers[2].differs.at(0).text() == "no entry of program dequantize_fp16");
    CHECK(miss.telling() == &miss.layers[1]);  // the nearest of all

    static_cast<void>(fixture.build("sm_90"));
    const Explanation hit = fixture.explain_one();
    CHECK(hit.hit);
    CHECK_FALSE(hit.layers[1].hit);
    CHECK(hit.telling() == &hit.layers[2]);
}

TEST_CASE("a sealed layer hits with any toolchain's entry unless exact is asked for", "[builder]") {
    Fixture fixture;
    const auto layer = fixture.make_layer("layer", "sm_90");
    static_cast<void>(cache::seal_directory(layer));
    fixture.compiler->set_toolchain(cache::Toolchain{"nvrtc", 13, 1, "new"});
    fixture.open({{layer}});
    CHECK_FALSE(fixture.explain_one().hit);
    fixture.context.policy.reset();  // exact by itself, since there is a toolchain
    const Explanation told = fixture.explain_one();
    CHECK(told.hit);
    CHECK(told.layers.at(0).hit);
    CHECK(told.layers.at(0).sealed);
    CHECK_FALSE(told.layers.at(1).sealed);
    // What explain says is what a build does.
    CHECK(fixture.build("sm_90").string().starts_with(layer.string()));
}

TEST_CASE("a layer that is passed over is told of with the reason", "[builder]") {
    Fixture fixture;
    fixture.open({{fixture.folder.path() / "missing"}});
    const Explanation told = fixture.explain_one();
    CHECK_FALSE(told.hit);
    REQUIRE(told.layers.at(0).differs.size() == 1);
    const FieldDifference& difference = told.layers[0].differs[0];
    CHECK(difference.field == "layer");
    CHECK_FALSE(difference.asked.has_value());
    CHECK(difference.text().starts_with("the layer is passed over: "));
    CHECK_THAT(difference.text(), Catch::Contains("missing"));
}

TEST_CASE("an entry that is not as its layer was sealed is not sound", "[builder]") {
    Fixture fixture;
    const auto layer = fixture.make_layer("layer", "sm_80");
    const auto other = fixture.make_layer("other", "sm_90");
    static_cast<void>(cache::seal_directory(layer));
    fixture.open({{other}});
    const auto added = fixture.explain_one().layers.at(0).nearest;
    const auto place = layer / std::filesystem::relative(added, other);
    std::filesystem::permissions(layer / "v1/entries", std::filesystem::perms(0700));
    std::filesystem::create_directories(place);
    std::filesystem::copy(added, place);
    for (const auto& folder : {place.parent_path(), place}) {
        std::filesystem::permissions(folder, std::filesystem::perms(0700));
    }
    fixture.open({{layer}});
    const Explanation told = fixture.explain_one();
    CHECK_FALSE(told.hit);
    CHECK(told.layers.at(0).nearest == place);
    CHECK(told.layers.at(0).differs.at(0).field == "integrity");
}

TEST_CASE("an entry that needs a newer driver than a device here has is told so", "[builder]") {
    Fixture fixture;
    static_cast<void>(fixture.build("sm_90"));
    FakeDriver driver;  // one device of 9.0
    fixture.context.driver = &driver;
    driver.set_version(12040);
    const Explanation told = fixture.explain_one();
    CHECK_FALSE(told.hit);
    REQUIRE(told.telling()->differs.size() == 1);
    CHECK(told.telling()->differs[0] == FieldDifference{"driver", "12.4", "13.0"});
    CHECK(told.telling()->differs[0].text() == "the entry needs driver 13.0, this one is 12.4");
    driver.set_version(13000);
    CHECK(fixture.explain_one().hit);
    // What is built for other machines is none of this driver's business.
    driver.set_version(12040);
    static_cast<void>(fixture.build("sm_100"));
    CHECK(fixture.explain_one("sm_100").hit);
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
