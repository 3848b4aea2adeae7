// Read-only layers: what they serve, what is passed over, and that nothing in them changes.
#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>
#include <opforge/cache/layers.hpp>
#include <opforge/cache/seal.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <iostream>
#include <map>
#include <string>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;

namespace {

constexpr uid_t kStranger = 54321;

// A layer of two programs, an empty user's directory beside it.
class Layered {
public:
    Layered() {
        for (const char* program : {"one", "two"}) {
            const Built built = sample_built(test::sample_request(program));
            DirectoryStore(layer()).publish(built.manifest, built.artifact);
        }
    }
    [[nodiscard]] std::filesystem::path layer() const { return directory_.path() / "layer"; }
    [[nodiscard]] std::filesystem::path own() const { return directory_.path() / "own"; }
    [[nodiscard]] std::filesystem::path other(const char* name) const {
        return directory_.path() / name;
    }
    [[nodiscard]] std::filesystem::path entry(const char* program) const {
        return test::entry_directory(layer(), test::sample_request(program));
    }
    [[nodiscard]] CacheOptions options(std::vector<LayerSpec> layers) const {
        CacheOptions options;
        options.directory = own();
        options.layers = std::move(layers);
        return options;
    }
    [[nodiscard]] CacheOptions options() const { return options({{layer()}}); }

    // Names, modes, times and contents of all that is below the layer.
    [[nodiscard]] std::map<std::string, std::string> snapshot() const {
        std::map<std::string, std::string> all;
        for (const auto& each : std::filesystem::recursive_directory_iterator(layer())) {
            struct stat status {};
            REQUIRE(::lstat(each.path().c_str(), &status) == 0);
            all[each.path()] = std::to_string(status.st_mode) + " " +
                               std::to_string(status.st_mtim.tv_sec) + "." +
                               std::to_string(status.st_mtim.tv_nsec) +
                               (each.is_regular_file() ? test::read_file(each.path()) : "");
        }
        return all;
    }

private:
    test::TemporaryDirectory directory_;
};

Lookup lookup(const char* program) {
    return sample_lookup(test::sample_request(program));
}

std::function<Built()> build(const char* program) {
    return [program] { return sample_built(test::sample_request(program)); };
}

void change_all(const std::filesystem::path& root, uid_t owner, mode_t directories, mode_t files) {
    for (const auto& each : std::filesystem::recursive_directory_iterator(root)) {
        REQUIRE(::chmod(each.path().c_str(), each.is_directory() ? directories : files) == 0);
        REQUIRE(::chown(each.path().c_str(), owner, owner) == 0);
        // chown takes set-id bits away.
        REQUIRE(::chmod(each.path().c_str(), each.is_directory() ? directories : files) == 0);
    }
    REQUIRE(::chown(root.c_str(), owner, owner) == 0);
    REQUIRE(::chmod(root.c_str(), directories) == 0);
}

bool is_root() {
    if (::geteuid() == 0) {
        return true;
    }
    std::cout << "SKIPPED: only root can give files to another user\n";
    return false;
}

}  // namespace

TEST_CASE("OPFORGE_LAYERS names paths, each with its options", "[layers]") {
    const std::string digest(64, 'a');
    const auto layers =
        parse_layers("/a;shared:/b/;sha256=" + digest + ":/c;shared;sha256=" + digest + "::");
    REQUIRE(layers.size() == 3);
    CHECK(layers[0].path == "/a");
    CHECK(layers[0].shared);
    CHECK_FALSE(layers[0].sha256);
    CHECK(layers[1].path == "/b");
    CHECK_FALSE(layers[1].shared);
    CHECK(layers[1].sha256 == Digest::from_hex(digest));
    CHECK(layers[2].shared);
    CHECK(layers[2].sha256);
    for (const LayerSpec& layer : layers) {
        CHECK(layer.fault.empty());
    }
    CHECK(parse_layers("").empty());
}

TEST_CASE("a part of OPFORGE_LAYERS that is wrong is a layer with a fault", "[layers]") {
    for (const char* text : {"relative", "/a;shard", "/a;sha256=12", "/a;sha256=", ";shared"}) {
        INFO(text);
        const auto layers = parse_layers(text);
        REQUIRE(layers.size() == 1);
        CHECK_FALSE(layers[0].fault.empty());
    }
}

TEST_CASE("a layer serves before the user's directory, and nothing in it changes", "[layers]") {
    const Layered layered;
    const auto before = layered.snapshot();
    Cache cache(layered.options());
    const Result hit = cache.find_or_build(lookup("one"), build("one"));
    CHECK(hit.origin == Origin::layer);
    CHECK(hit.entry->directory == layered.entry("one"));
    CHECK(cache.find(lookup("one")).origin == Origin::memory);
    CHECK(cache.find_or_build(lookup("three"), build("three")).origin == Origin::compiled);
    CHECK(cache.counters().layer_hits == 1);
    CHECK(cache.counters().compiles == 1);
    CHECK(layered.snapshot() == before);

    const Statistics statistics = cache.statistics();
    REQUIRE(statistics.layers.size() == 2);
    CHECK(statistics.layers[0].path == layered.layer());
    CHECK(statistics.layers[0].hits == 1);
    CHECK(statistics.layers[0].absent == 1);
    CHECK(statistics.layers[1].kind == Origin::user_directory);
    CHECK(statistics.layers[1].absent == 1);
}

TEST_CASE("layers are asked in their order", "[layers]") {
    const Layered layered;
    const Built built = sample_built(test::sample_request("one"), test::sample_toolchain(), 300);
    DirectoryStore(layered.other("second")).publish(built.manifest, built.artifact);
    Cache first(layered.options({{layered.other("second")}, {layered.layer()}}));
    CHECK(first.find(lookup("one")).entry->artifact.size() == 300);
    CHECK(first.find(lookup("two")).origin == Origin::layer);
    Cache second(layered.options({{layered.layer()}, {layered.other("second")}}));
    CHECK(second.find(lookup("one")).entry->artifact.size() == 200);
}

TEST_CASE("a bad entry of a layer is passed over, counted by its reason, and left", "[layers]") {
    const Layered layered;
    test::write_file(layered.entry("one") / "kernels.cubin", std::string(200, 'x'));
    const auto before = layered.snapshot();
    const test::LogCapture log(LogLevel::info);
    Cache cache(layered.options());
    CHECK(cache.find_or_build(lookup("one"), build("one")).origin == Origin::compiled);
    CHECK(layered.snapshot() == before);
    CHECK(cache.counters().quarantined == 0);
    const Statistics statistics = cache.statistics();
    CHECK(statistics.layers[0].refused[static_cast<std::size_t>(Refusal::wrong_digest)] == 1);
    REQUIRE_FALSE(log.messages().empty());
    CHECK_THAT(log.messages()[0],
               Catch::Contains((layered.entry("one") / "kernels.cubin").string()) &&
                   Catch::Contains("make this layer anew"));
    // From now on the user's directory has it.
    Cache next(layered.options());
    CHECK(next.find(lookup("one")).origin == Origin::user_directory);
}

TEST_CASE("a layer that is missing, foreign or broken is passed over with one warning",
          "[layers]") {
    const Layered layered;
    std::vector<LayerSpec> specs = {{layered.other("missing")}};
    SECTION("missing") {}
    SECTION("a file") {
        test::write_file(layered.other("file"), "");
        specs = {{layered.other("file")}};
    }
    SECTION("not a cache") {
        std::filesystem::create_directory(layered.other("empty"));
        specs = {{layered.other("empty")}};
    }
    SECTION("relative") {
        specs = parse_layers("relative/path");
    }
    SECTION("an unknown option") {
        specs = parse_layers(layered.layer().string() + ";shard");
    }
    SECTION("others could write to it") {
        std::filesystem::permissions(layered.layer(), std::filesystem::perms(0777));
        specs = {{layered.layer()}};
    }
    SECTION("others could write to it, and it is shared") {
        std::filesystem::permissions(layered.layer(), std::filesystem::perms(0777));
        specs = {{layered.layer(), true}};
    }
    SECTION("a digest is asked for and it is not sealed") {
        specs = {{layered.layer(), false, Digest()}};
    }
    SECTION("its digest list is broken") {
        test::write_file(layered.layer() / "SHA256SUMS", "broken\n");
        std::filesystem::permissions(layered.layer() / "SHA256SUMS", std::filesystem::perms(0600));
        specs = {{layered.layer()}};
    }
    const test::LogCapture log;
    Cache cache(layered.options(specs));
    for (const char* program : {"one", "two"}) {
        CHECK(cache.find_or_build(lookup(program), build(program)).origin == Origin::compiled);
    }
    CHECK(cache.counters().layers_skipped == 1);
    CHECK_FALSE(cache.statistics().layers[0].fault.empty());
    REQUIRE(log.messages().size() == 1);
    CHECK_THAT(log.messages()[0], Catch::Contains(specs[0].path.string()) &&
                                      Catch::Contains(cache.statistics().layers[0].fault));
}

TEST_CASE("a layer that is not there is told from the cache's own directory", "[layers]") {
    const Layered layered;
    const test::LogCapture log;
    const std::filesystem::path missing = layered.layer() / "elsewhere";
    Cache cache(layered.options({{missing}}));
    CHECK_FALSE(cache.find(lookup("one")).entry);
    const std::string fault = cache.statistics().layers[0].fault;
    CHECK_THAT(fault, Catch::Contains(missing.string()) && Catch::Contains("OPFORGE_LAYERS") &&
                          !Catch::Contains("OPFORGE_CACHE_DIR"));
}

TEST_CASE("a layer of another user's serves where it is declared shared, and only there",
          "[layers]") {
    if (!is_root()) {
        return;
    }
    const Layered layered;
    const test::LogCapture log;
    // 65534 is what root looks like in a rootless user namespace.
    const uid_t owner = GENERATE(as<uid_t>{}, kStranger, 65534);
    change_all(layered.layer(), owner, 02775, 0664);
    Cache undeclared(layered.options());
    CHECK_FALSE(undeclared.find(lookup("one")).entry);
    CHECK_THAT(undeclared.statistics().layers[0].fault,
               Catch::Contains("belongs to user") && Catch::Contains("shared"));
    Cache declared(layered.options({{layered.layer(), true}}));
    CHECK(declared.find(lookup("one")).origin == Origin::layer);

    // The rest of the world may not write, declared or not.
    std::filesystem::permissions(layered.entry("one"), std::filesystem::perms(0777));
    Cache again(layered.options({{layered.layer(), true}}));
    CHECK_FALSE(again.find(lookup("one")).entry);
    CHECK(again.find(lookup("two")).entry);
}

TEST_CASE("layers serve where there is no directory at all, without a warning", "[layers]") {
    const Layered layered;
    const test::LogCapture log;
    CacheOptions options = layered.options();
    options.directory.reset();
    options.memory_only = true;
    Cache cache(options);
    CHECK(cache.find_or_build(lookup("one"), build("one")).origin == Origin::layer);
    CHECK(log.messages().empty());
}

TEST_CASE("an entry of a layer is never moved to quarantine by its user", "[layers]") {
    const Layered layered;
    Cache cache(layered.options());
    const auto layers_entry = cache.find(lookup("one")).entry;
    CHECK_FALSE(cache.quarantine(*layers_entry));
    CHECK(std::filesystem::exists(layered.entry("one")));
    const auto own = cache.find_or_build(lookup("three"), build("three")).entry;
    CHECK(cache.quarantine(*own));
    CHECK_FALSE(std::filesystem::exists(own->directory));
}

TEST_CASE("a sealed layer serves any toolchain's entries where the caller lets it", "[layers]") {
    const Layered layered;
    static_cast<void>(seal_directory(layered.layer()));
    Lookup other = sample_lookup(test::sample_request("one"), test::sample_toolchain(13, 5));
    Cache cache(layered.options());
    CHECK_FALSE(cache.find(other).entry);
    other.sealed_policy = Policy::compatible;
    CHECK(cache.find(other).origin == Origin::layer);
    CHECK(cache.find(other).origin == Origin::memory);
    other.sealed_policy.reset();
    CHECK_FALSE(cache.find(other).entry);
}
