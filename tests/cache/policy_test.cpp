// Which entry serves whom, and what a cache answers where none does.
#include <opforge/base/error.hpp>
#include <opforge/cache/cache.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <stdexcept>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;
using test::sample_request;
using test::sample_toolchain;

namespace {

Built must_not_build() {
    throw std::logic_error("built where nothing was to be");
}

void publish(const std::filesystem::path& root, const Toolchain& toolchain) {
    const Built built = sample_built(sample_request(), toolchain);
    DirectoryStore(root).publish(built.manifest, built.artifact);
}

Lookup any_toolchain(Policy policy = Policy::compatible) {
    Lookup lookup = sample_lookup();
    lookup.toolchain.reset();
    lookup.policy = policy;
    return lookup;
}

}  // namespace

TEST_CASE("policies have names that read back", "[policy]") {
    for (const Policy policy : {Policy::exact, Policy::compatible, Policy::offline}) {
        CHECK(parse_policy(to_string(policy)) == policy);
    }
    CHECK_THROWS_AS(parse_policy("Exact"), InvalidArgument);
    CHECK_THROWS_WITH(parse_policy("strict"),
                      Catch::Contains("'strict'") && Catch::Contains("exact") &&
                          Catch::Contains("compatible") && Catch::Contains("offline"));
}

TEST_CASE("policy exact serves only what the toolchain in use made", "[policy]") {
    const test::TemporaryDirectory directory;
    publish(directory.path(), sample_toolchain(13, 0));
    Cache cache({directory.path(), false});
    CHECK(cache.find(sample_lookup()).origin == Origin::user_directory);
    // Also where memory already holds the other one.
    CHECK_FALSE(cache.find(sample_lookup(sample_request(), sample_toolchain(13, 1))).entry);
    CHECK_FALSE(
        cache.find(sample_lookup(sample_request(), sample_toolchain(13, 0, "another build")))
            .entry);
}

TEST_CASE("policy exact without a toolchain finds nothing and says so", "[policy]") {
    const test::TemporaryDirectory directory;
    publish(directory.path(), sample_toolchain());
    Cache cache({directory.path(), false});
    const Result result = cache.find(any_toolchain(Policy::exact));
    CHECK_FALSE(result.entry);
    CHECK_THAT(result.reason, Catch::Contains("no toolchain is known"));
    CHECK(cache.counters().misses == 1);
}

TEST_CASE("policy compatible takes the newest toolchain's entry, by number", "[policy]") {
    const test::TemporaryDirectory directory;
    for (const auto& [major, minor] : {std::pair(12, 9), std::pair(12, 10), std::pair(9, 99)}) {
        publish(directory.path(), sample_toolchain(major, minor));
    }
    Cache cache({directory.path(), false});
    const Result result = cache.find(any_toolchain());
    REQUIRE(result.entry);
    CHECK(result.entry->manifest.toolchain == sample_toolchain(12, 10));
}

TEST_CASE("memory too serves the newest acceptable entry", "[policy]") {
    Cache cache({std::nullopt, true});
    for (const int minor : {9, 10, 2}) {
        const Toolchain toolchain = sample_toolchain(12, minor);
        static_cast<void>(cache.find_or_build(sample_lookup(sample_request(), toolchain), [&] {
            return sample_built(sample_request(), toolchain);
        }));
    }
    CHECK(cache.find(any_toolchain()).entry->manifest.toolchain.minor == 10);
    Lookup older = any_toolchain();
    older.acceptable = [](const Manifest& manifest) { return manifest.toolchain.minor < 10; };
    CHECK(cache.find(older).entry->manifest.toolchain.minor == 9);
}

TEST_CASE("what the caller cannot use is passed over and stays", "[policy]") {
    const test::TemporaryDirectory directory;
    publish(directory.path(), sample_toolchain(13, 0));
    publish(directory.path(), sample_toolchain(12, 9));
    Cache cache({directory.path(), false});
    Lookup lookup = any_toolchain();
    lookup.acceptable = [](const Manifest& manifest) { return manifest.toolchain.major < 13; };
    CHECK(cache.find(lookup).entry->manifest.toolchain.major == 12);
    CHECK(cache.counters().refused == 1);
    CHECK(cache.counters().quarantined == 0);
    CHECK(cache.directory()->list(true).size() == 2);

    Lookup exact = sample_lookup();
    exact.acceptable = [](const Manifest&) { return false; };
    const auto found = cache.directory()->find(exact.request, *exact.toolchain, exact.acceptable);
    CHECK(found.refusal == Refusal::unacceptable);
    CHECK_FALSE(cache.find(exact).entry);
}

TEST_CASE("a bad newest entry goes to quarantine and the next one serves", "[policy]") {
    const test::TemporaryDirectory directory;
    for (const char* file : {"manifest.json", "kernels.cubin"}) {
        for (const int major : {12, 13}) {
            publish(directory.path(), sample_toolchain(major));
        }
        test::write_file(
            test::entry_directory(directory.path(), sample_request(), sample_toolchain(13)) / file,
            "not what was written");
        Cache cache({directory.path(), false});
        CHECK(cache.find(any_toolchain()).entry->manifest.toolchain.major == 12);
        CHECK(cache.counters().quarantined == 1);
        CHECK(cache.counters().refused == 1);
        CHECK(cache.counters().directory_hits == 1);
    }
}

TEST_CASE("policy offline serves like compatible and never compiles", "[policy]") {
    const test::TemporaryDirectory directory;
    Cache cache({directory.path(), false});
    const Lookup lookup = any_toolchain(Policy::offline);
    CHECK_FALSE(cache.find_or_build(lookup, must_not_build).entry);
    CHECK_FALSE(cache.rebuild(lookup, must_not_build).entry);
    publish(directory.path(), sample_toolchain());
    CHECK(cache.find_or_build(lookup, must_not_build).origin == Origin::user_directory);
    CHECK(cache.find_or_build(lookup, must_not_build).origin == Origin::memory);
}

TEST_CASE("a cache of memory only keeps what it compiled and warns of nothing", "[policy]") {
    const test::LogCapture log;
    Cache cache({std::nullopt, true});
    CHECK(cache.directory() == nullptr);
    CHECK(cache.root().path.empty());
    const Result miss = cache.find(sample_lookup());
    CHECK_THAT(miss.reason, Catch::Contains("no cache directory"));
    CHECK(cache.find_or_build(sample_lookup(), [] { return sample_built(); }).origin ==
          Origin::compiled);
    CHECK(cache.find_or_build(sample_lookup(), must_not_build).origin == Origin::memory);
    CHECK(log.messages().empty());
}

TEST_CASE("what was built must be what was asked for", "[policy]") {
    const test::TemporaryDirectory directory;
    Cache cache({directory.path(), false});
    const std::vector<std::function<void(Built&)>> lies = {
        [](Built& built) { built.manifest.request.target = "sm_80"; },
        [](Built& built) { built.manifest.artifact.size_bytes += 1; },
        [](Built& built) { built.artifact[0] ^= std::byte{1}; },
    };
    for (const auto& lie : lies) {
        CHECK_THROWS_AS(cache.find_or_build(sample_lookup(),
                                            [&] {
                                                Built built = sample_built();
                                                lie(built);
                                                return built;
                                            }),
                        InvalidArgument);
    }
    CHECK_FALSE(cache.find(sample_lookup()).entry);
    CHECK(DirectoryStore(directory.path()).list(false).empty());
    CHECK(cache.counters().published == 0);
}

TEST_CASE("a rebuild compiles although an entry would serve, and takes its place", "[policy]") {
    const test::TemporaryDirectory directory;
    Cache cache({directory.path(), false});
    static_cast<void>(cache.find_or_build(sample_lookup(), [] { return sample_built(); }));
    const auto other = [] { return sample_built(sample_request(), sample_toolchain(), 300); };
    CHECK(cache.rebuild(sample_lookup(), other).origin == Origin::compiled);
    CHECK(cache.find(sample_lookup()).entry->artifact == other().artifact);
    Cache next({directory.path(), false});
    CHECK(next.find(sample_lookup()).entry->artifact == other().artifact);
    CHECK_FALSE(std::filesystem::exists(directory.path() / "v1" / "quarantine"));
    CHECK(cache.counters().compiles == 2);
}

TEST_CASE("the order of a request's lists is of no account to a lookup", "[policy]") {
    const test::TemporaryDirectory directory;
    publish(directory.path(), sample_toolchain());
    Request turned = sample_request();
    std::swap(turned.headers[0], turned.headers[1]);
    std::swap(turned.options[0], turned.options[1]);
    std::swap(turned.defines[0], turned.defines[1]);
    std::swap(turned.kernels[0], turned.kernels[1]);
    Cache cache({directory.path(), false});
    CHECK(cache.find(sample_lookup(turned)).entry);
}

TEST_CASE("an entry whose log was not UTF-8 is kept and serves", "[policy]") {
    const test::LogCapture log;
    const test::TemporaryDirectory directory;
    Cache cache({directory.path(), false});
    static_cast<void>(cache.find_or_build(sample_lookup(), [] {
        Built built = sample_built();
        built.manifest.compile_log = "caf\xe9";
        return built;
    }));
    CHECK(log.messages().empty());
    Cache next({directory.path(), false});
    CHECK(next.find(sample_lookup()).entry->manifest.compile_log == "caf\xef\xbf\xbd");
}

TEST_CASE("each policy and each origin has a name of its own", "[policy]") {
    for (const Policy policy : {Policy::exact, Policy::compatible, Policy::offline}) {
        CHECK(parse_policy(to_string(policy)) == policy);
    }
    CHECK_THROWS_WITH(parse_policy("lax"), Catch::Contains("'lax'") && Catch::Contains("offline"));
    CHECK(to_string(Origin::memory) == "memory");
    CHECK(to_string(Origin::layer) == "layer");
    CHECK(to_string(Origin::user_directory) == "user_directory");
    CHECK(to_string(Origin::compiled) == "compiled");
}
