// What people and tools are shown of a layer agrees with what lookups make of it.
#include <opforge/cache/layer_contents.hpp>

#include "support/cache_samples.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

using namespace opforge;
using namespace opforge::cache;

namespace {

// A layer of two programs.
class Layer {
public:
    Layer() {
        for (const char* program : {"one", "two"}) {
            const Built built = test::sample_built(test::sample_request(program));
            DirectoryStore(root()).publish(built.manifest, built.artifact);
        }
    }
    ~Layer() { make_writable(); }
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;

    [[nodiscard]] std::filesystem::path root() const { return directory_.path() / "layer"; }
    [[nodiscard]] std::filesystem::path entry(const char* program) const {
        return test::entry_directory(root(), test::sample_request(program));
    }
    // As its owner could have it again, to try what a seal must notice.
    void make_writable() const {
        using std::filesystem::perms;
        std::filesystem::permissions(root(), perms(0700));
        for (const auto& each : std::filesystem::recursive_directory_iterator(root())) {
            std::filesystem::permissions(each.path(),
                                         each.is_directory() ? perms(0700) : perms(0600));
        }
    }
    [[nodiscard]] const Listed& listed(const LayerContents& contents, const char* program) const {
        const auto found =
            std::find_if(contents.entries.begin(), contents.entries.end(),
                         [&](const Listed& each) { return each.directory == entry(program); });
        REQUIRE(found != contents.entries.end());
        return *found;
    }

private:
    test::TemporaryDirectory directory_;
};

}  // namespace

TEST_CASE("a layer's entries are shown, and whether it is sealed", "[layers]") {
    const Layer layer;
    const LayerContents open = look_into({layer.root()}, true);
    CHECK(open.fault.empty());
    CHECK_FALSE(open.sealed);
    CHECK(open.entries.size() == 2);
    CHECK(layer.listed(open, "one").manifest.has_value());

    const Digest list = seal_directory(layer.root()).list;
    const LayerContents sealed = look_into({layer.root(), false, list}, true);
    CHECK(sealed.fault.empty());
    CHECK(sealed.sealed);
    CHECK(sealed.seal_faults.empty());
    CHECK(sealed.entries.size() == 2);
}

TEST_CASE("what is not as sealed is refused, and what is gone is told", "[layers]") {
    const Layer layer;
    static_cast<void>(seal_directory(layer.root()));
    layer.make_writable();
    const test::TemporaryDirectory other;
    const Built built = test::sample_built(test::sample_request("three"));
    const auto added = DirectoryStore(other.path()).publish(built.manifest, built.artifact);
    std::filesystem::create_directories(layer.entry("three"));
    std::filesystem::copy(added, layer.entry("three"));
    layer.make_writable();
    std::filesystem::remove_all(layer.entry("two"));

    const LayerContents contents = look_into({layer.root()}, false);
    CHECK(contents.fault.empty());
    REQUIRE(contents.seal_faults.size() == 2);
    CHECK(layer.listed(contents, "one").manifest.has_value());
    const Listed& unlisted = layer.listed(contents, "three");
    CHECK_FALSE(unlisted.manifest.has_value());
    CHECK(unlisted.refusal == Refusal::wrong_digest);
    CHECK_FALSE(unlisted.reason.empty());
}

TEST_CASE("only a deep look hashes artifacts", "[layers]") {
    const Layer layer;
    test::write_file(layer.entry("one") / "kernels.cubin", std::string(200, 'x'));
    CHECK(layer.listed(look_into({layer.root()}, false), "one").manifest.has_value());
    CHECK_FALSE(layer.listed(look_into({layer.root()}, true), "one").manifest.has_value());
}

TEST_CASE("a layer that lookups pass over is shown with the reason, and empty", "[layers]") {
    const Layer layer;
    LayerSpec spec{layer.root()};
    SECTION("not a layer at all") {
        spec.fault = "the path is not absolute";
    }
    SECTION("missing") {
        spec.path = layer.root() / "missing";
    }
    SECTION("not sealed, and a digest is asked for") {
        spec.sha256 = sha256(std::string_view("another list"));
    }
    SECTION("sealed as another list") {
        static_cast<void>(seal_directory(layer.root()));
        spec.sha256 = sha256(std::string_view("another list"));
    }
    SECTION("open to everybody") {
        std::filesystem::permissions(layer.root(), std::filesystem::perms(0777));
    }
    const LayerContents contents = look_into(spec, true);
    CHECK_FALSE(contents.fault.empty());
    CHECK(contents.entries.empty());

    CacheOptions options;
    options.memory_only = true;
    options.layers = {spec};
    Cache cache(options);
    CHECK_FALSE(cache.find(test::sample_lookup(test::sample_request("one"))).entry);
    REQUIRE(cache.layers().size() == 1);
    CHECK(cache.layers()[0].path == spec.path);
    CHECK_FALSE(cache.statistics().layers.at(0).fault.empty());
}
