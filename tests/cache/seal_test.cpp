// Sealed layers: they can be moved and copied, nothing gets in, and every change is seen.
#include <opforge/base/error.hpp>
#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>
#include <opforge/cache/seal.hpp>

#include "support/cache_samples.hpp"
#include "support/child_process.hpp"
#include "support/faulty_file_system.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;

namespace {

class Sealable {
public:
    Sealable() {
        for (const char* program : {"one", "two"}) {
            const Built built = sample_built(test::sample_request(program));
            DirectoryStore(root()).publish(built.manifest, built.artifact);
        }
    }
    ~Sealable() { make_writable(directory_.path()); }
    Sealable(const Sealable&) = delete;
    Sealable& operator=(const Sealable&) = delete;

    [[nodiscard]] std::filesystem::path root() const { return directory_.path() / "layer"; }
    [[nodiscard]] std::filesystem::path beside(const char* name) const {
        return directory_.path() / name;
    }
    [[nodiscard]] std::filesystem::path entry(const char* program) const {
        return test::entry_directory(root(), test::sample_request(program));
    }
    // As its owner could have it again, to try what a seal must notice.
    static void make_writable(const std::filesystem::path& path) {
        using std::filesystem::perms;
        std::filesystem::permissions(path, perms(0700));
        for (const auto& each : std::filesystem::recursive_directory_iterator(path)) {
            std::filesystem::permissions(each.path(),
                                         each.is_directory() ? perms(0700) : perms(0600));
        }
    }
    // What a cache with this layer alone finds.
    [[nodiscard]] static Result find(const std::filesystem::path& layer, const char* program,
                                     const std::optional<Digest>& expected = std::nullopt) {
        CacheOptions options;
        options.memory_only = true;
        options.layers = {{layer, false, expected}};
        Cache cache(options);
        return cache.find(sample_lookup(test::sample_request(program)));
    }

private:
    test::TemporaryDirectory directory_;
};

}  // namespace

TEST_CASE("a sealed layer is whole, read-only, and serves", "[seal]") {
    const Sealable sealable;
    const Sealed sealed = seal_directory(sealable.root());
    CHECK(sealed.entries.entries == 2);
    CHECK(sealed.list == sha256(test::read_file(sealable.root() / "SHA256SUMS")));
    for (const auto& each : std::filesystem::recursive_directory_iterator(sealable.root())) {
        CHECK(each.status().permissions() ==
              std::filesystem::perms(each.is_directory() ? 0555 : 0444));
    }
    for (const char* gone : {"tmp", "lock", "quarantine"}) {
        CHECK_FALSE(std::filesystem::exists(sealable.root() / "v1" / gone));
    }
    const SealCheck check = check_seal(sealable.root(), false);
    CHECK(check.sealed);
    CHECK(check.faults.empty());
    CHECK(Sealable::find(sealable.root(), "one", sealed.list).origin == Origin::layer);
    CHECK_FALSE(Sealable::find(sealable.root(), "one", Digest()).entry);
}

TEST_CASE("sha256sum checks a sealed layer as opforge does", "[seal]") {
    const Sealable sealable;
    static_cast<void>(seal_directory(sealable.root()));
    const test::ChildResult child = test::run_program(
        {"/bin/sh", "-c", "cd '" + sealable.root().string() + "' && sha256sum -c SHA256SUMS"});
    CHECK(child.exit_code == 0);
    CHECK_THAT(child.output, Catch::Contains("manifest.json: OK"));
}

TEST_CASE("a sealed layer can be copied, with other times and to another place", "[seal]") {
    const Sealable sealable;
    const Sealed sealed = seal_directory(sealable.root());
    std::filesystem::copy(sealable.root(), sealable.beside("copy"),
                          std::filesystem::copy_options::recursive);
    CHECK(Sealable::find(sealable.beside("copy"), "one", sealed.list).origin == Origin::layer);
    CHECK(check_seal(sealable.beside("copy"), false, sealed.list).faults.empty());
}

TEST_CASE("sealing gives all files the time asked for", "[seal]") {
    const Sealable sealable;
    constexpr std::int64_t kTime = 1'700'000'000;
    static_cast<void>(seal_directory(sealable.root(), kTime));
    for (const auto& each : std::filesystem::recursive_directory_iterator(sealable.root())) {
        const auto time = std::chrono::file_clock::to_sys(each.last_write_time());
        CHECK(std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count() ==
              kTime);
    }
}

TEST_CASE("sealing again changes nothing", "[seal]") {
    const Sealable sealable;
    const Sealed first = seal_directory(sealable.root());
    const Sealed second = seal_directory(sealable.root());
    CHECK(first.list == second.list);
    CHECK(Sealable::find(sealable.root(), "two").entry);
}

TEST_CASE("nothing is published into a sealed layer, nor removed from it", "[seal]") {
    const Sealable sealable;
    static_cast<void>(seal_directory(sealable.root()));
    const test::LogCapture log;
    Cache cache({sealable.root(), false});
    CHECK(cache.find(sample_lookup(test::sample_request("one"))).origin == Origin::user_directory);
    CHECK(cache.find_or_build(sample_lookup(), [] { return sample_built(); }).origin ==
          Origin::compiled);
    CHECK(cache.counters().publish_failures == 1);
    REQUIRE(log.messages().size() == 1);
    CHECK_THAT(log.messages()[0], Catch::Contains("OPFORGE_LAYERS"));
    CHECK_THROWS_WITH(cache.directory()->prune(false), Catch::Contains("sealed"));
    CHECK_THROWS_WITH(cache.directory()->clear(true), Catch::Contains("sealed"));
    CHECK(check_seal(sealable.root(), false).faults.empty());
}

TEST_CASE("an entry that was changed, added or taken since is seen and not served", "[seal]") {
    const Sealable sealable;
    static_cast<void>(seal_directory(sealable.root()));
    Sealable::make_writable(sealable.root());
    SECTION("replaced by a sound one of the same name") {
        const Built other =
            sample_built(test::sample_request("one"), test::sample_toolchain(), 300);
        DirectoryStore(sealable.root()).replace(other.manifest, other.artifact);
        CHECK_FALSE(Sealable::find(sealable.root(), "one").entry);
    }
    SECTION("added") {
        const Built other = sample_built(test::sample_request("three"));
        DirectoryStore(sealable.root()).publish(other.manifest, other.artifact);
        CHECK_FALSE(Sealable::find(sealable.root(), "three").entry);
        CHECK(Sealable::find(sealable.root(), "one").entry);
    }
    SECTION("taken") {
        std::filesystem::remove_all(sealable.entry("one"));
        CHECK_FALSE(Sealable::find(sealable.root(), "one").entry);
    }
    const SealCheck check = check_seal(sealable.root(), false);
    REQUIRE(check.faults.size() == 1);
    CHECK_THAT(check.faults[0].reason, Catch::Contains("SHA256SUMS"));
    CHECK_THROWS_AS(seal_directory(sealable.root()), IntegrityError);
}

TEST_CASE("a digest list that is not in its form says which line", "[seal]") {
    const Sealable sealable;
    static_cast<void>(seal_directory(sealable.root()));
    Sealable::make_writable(sealable.root());
    const std::string text = test::read_file(sealable.root() / "SHA256SUMS");
    const std::string first = text.substr(0, text.find('\n') + 1);
    for (const std::string& bad :
         {text + "x", text + "\n", first + first, std::string("zz") + text.substr(2),
          text.substr(0, 64) + " *" + text.substr(66), std::string(64, 'a') + "  /etc/passwd\n",
          std::string(64, 'a') + "  v1/entries/../../x/y\n"}) {
        test::write_file(sealable.root() / "SHA256SUMS", bad);
        const SealCheck check = check_seal(sealable.root(), false);
        REQUIRE(check.faults.size() == 1);
        CHECK_THAT(check.faults[0].reason, Catch::Contains("line "));
        CHECK_FALSE(Sealable::find(sealable.root(), "one").entry);
    }
}

TEST_CASE("what is not sound, or not there, is not sealed", "[seal]") {
    const Sealable sealable;
    CHECK_THROWS_AS(seal_directory(sealable.beside("missing")), CacheError);
    std::filesystem::create_directory(sealable.beside("empty"));
    std::filesystem::permissions(sealable.beside("empty"), std::filesystem::perms(0700));
    CHECK_THROWS_AS(seal_directory(sealable.beside("empty")), InvalidArgument);
    test::write_file(sealable.entry("one") / "kernels.cubin", "bad");
    CHECK_THROWS_WITH(seal_directory(sealable.root()),
                      Catch::Contains(sealable.entry("one").filename().string()));
    CHECK_FALSE(std::filesystem::exists(sealable.root() / "SHA256SUMS"));
}

TEST_CASE("whichever call of a sealing fails, the entries serve and it can be sealed again",
          "[seal]") {
    for (std::uint64_t n = 1;; ++n) {
        const Sealable sealable;
        test::FaultyFileSystem files;
        files.fail_call(n, EIO);
        bool failed = false;
        try {
            static_cast<void>(seal_directory(sealable.root(), std::nullopt, files));
        } catch (const Error&) {
            failed = true;
        }
        CHECK(failed == files.triggered());
        CHECK(files.open_descriptors() == 0);
        CHECK(Sealable::find(sealable.root(), "one").entry);
        CHECK(seal_directory(sealable.root()).entries.entries == 2);
        CHECK(check_seal(sealable.root(), false).faults.empty());
        if (!files.triggered()) {
            break;
        }
        REQUIRE(n < 500);
    }
}
