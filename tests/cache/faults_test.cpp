// Every file call of an operation fails in turn: the op is served, and no broken entry is ever to
// be seen.
#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include "support/cache_samples.hpp"
#include "support/faulty_file_system.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <functional>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;

namespace {

constexpr std::uint64_t kTooMany = 500;

Built build() {
    return sample_built();
}

// A second artifact under the same key, to tell old from new.
Built build_other() {
    return sample_built(test::sample_request(), test::sample_toolchain(), 300);
}

std::size_t count_in(const std::filesystem::path& folder) {
    if (!std::filesystem::exists(folder)) {
        return 0;
    }
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

// What the next process sees: a sound entry or none, and nothing to put right.
DirectoryStore::Found look(const std::filesystem::path& root) {
    DirectoryStore store(root);
    for (const Listed& listed : store.list(true)) {
        INFO(listed.reason);
        CHECK(listed.manifest.has_value());
    }
    auto found = store.find(test::sample_request(), test::sample_toolchain(), {});
    CHECK(found.refused == 0);
    CHECK(found.quarantined == 0);
    return found;
}

// Runs `round` with call n faulty for n = 1, 2, ... until a whole round meets no fault; gives the
// number of rounds.
std::uint64_t
for_every_call(const std::function<void(test::FaultyFileSystem&, std::uint64_t)>& round) {
    for (std::uint64_t n = 1; n < kTooMany; ++n) {
        INFO("call " << n);
        test::FaultyFileSystem files;
        round(files, n);
        CHECK(files.open_descriptors() == 0);
        if (!files.triggered()) {
            return n;
        }
    }
    FAIL("there is no end to the calls");
    return 0;
}

}  // namespace

TEST_CASE("whichever call of a first use fails, the op is served and no broken entry is seen",
          "[faults]") {
    const test::LogCapture log;
    // ENOENT and EEXIST are what the store itself acts on; any other is one of the rest.
    for (const int code : {EIO, ENOENT, EEXIST}) {
        INFO("errno " << code);
        const std::uint64_t rounds =
            for_every_call([&](test::FaultyFileSystem& files, std::uint64_t n) {
                const test::TemporaryDirectory directory;
                const std::filesystem::path root = directory.path() / "root";
                files.fail_call(n, code);
                {
                    Cache cache({root, false}, files);
                    const Result result = cache.find_or_build(sample_lookup(), build);
                    REQUIRE(result.entry);
                    CHECK(result.entry->artifact == build().artifact);
                    const Counters counters = cache.counters();
                    CHECK(counters.published + counters.publish_failures == 1);
                    CHECK((files.triggered() || counters.published == 1));
                }
                files.heal();
                static_cast<void>(look(root));
                // What a failed publish left behind, the next one does not mind.
                Cache next({root, false}, files);
                CHECK(next.find_or_build(sample_lookup(), build).entry);
                CHECK(look(root).entry);
            });
        CHECK(rounds > 20);
    }
}

TEST_CASE("a failed publish takes its staging folder away", "[faults]") {
    const test::LogCapture log;
    for_every_call([&](test::FaultyFileSystem& files, std::uint64_t n) {
        const test::TemporaryDirectory directory;
        const Built other = sample_built(test::sample_request("other"));
        DirectoryStore(directory.path(), files).publish(other.manifest, other.artifact);
        files.fail_call(n, EIO);
        DirectoryStore store(directory.path(), files);
        const Built built = build();
        try {
            store.publish(built.manifest, built.artifact);
        } catch (const CacheError& error) {
            CHECK(error.code().value() == EIO);
            CHECK_FALSE(error.path().empty());
        }
        CHECK(count_in(directory.path() / "v1" / "tmp") == 0);
    });
}

TEST_CASE("a process that dies at any call leaves no broken entry", "[faults]") {
    const test::LogCapture log;
    for_every_call([&](test::FaultyFileSystem& files, std::uint64_t n) {
        const test::TemporaryDirectory directory;
        files.fail_from(n, EIO);
        {
            Cache cache({directory.path(), false}, files);
            CHECK(cache.find_or_build(sample_lookup(), build).entry);
        }
        files.heal();
        static_cast<void>(look(directory.path()));
        Cache next({directory.path(), false}, files);
        CHECK(next.find_or_build(sample_lookup(), build).entry);
        CHECK(look(directory.path()).entry);
    });
}

TEST_CASE("whichever call of a warm start fails, the entry stays and the op is served",
          "[faults]") {
    const test::LogCapture log;
    const test::TemporaryDirectory directory;
    DirectoryStore(directory.path()).publish(build().manifest, build().artifact);
    for (const Policy policy : {Policy::exact, Policy::compatible}) {
        for_every_call([&](test::FaultyFileSystem& files, std::uint64_t n) {
            Lookup lookup = sample_lookup();
            lookup.policy = policy;
            files.fail_call(n, EIO);
            Cache cache({directory.path(), false}, files);
            const Result result = cache.find(lookup);
            CHECK((result.entry == nullptr) == files.triggered());
            if (!result.entry) {
                CHECK_THAT(result.reason, Catch::Contains("Input/output error"));
            }
            files.heal();
            CHECK(look(directory.path()).entry);
        });
    }
}

TEST_CASE("whichever call fails while an entry is replaced, the old or the new one is there",
          "[faults]") {
    const test::LogCapture log;
    const bool can_exchange = GENERATE(true, false);
    for_every_call([&](test::FaultyFileSystem& files, std::uint64_t n) {
        const test::TemporaryDirectory directory;
        DirectoryStore(directory.path(), files).publish(build().manifest, build().artifact);
        if (!can_exchange) {
            files.forbid_exchange();
        }
        files.fail_call(n, EIO);
        {
            Cache cache({directory.path(), false}, files);
            const Result result = cache.rebuild(sample_lookup(), build_other);
            CHECK(result.entry->artifact == build_other().artifact);
            if (!files.triggered()) {
                CHECK(look(directory.path()).entry->artifact == build_other().artifact);
                CHECK(count_in(directory.path() / "v1" / "tmp") == 0);
            }
        }
        const auto found = look(directory.path());
        REQUIRE(found.entry);
        CHECK((found.entry->artifact == build().artifact ||
               found.entry->artifact == build_other().artifact));
    });
}

TEST_CASE("a process that dies at any call of replacing an entry leaves the old or the new one",
          "[faults]") {
    const test::LogCapture log;
    const bool can_exchange = GENERATE(true, false);
    std::uint64_t misses = 0;
    for_every_call([&](test::FaultyFileSystem& files, std::uint64_t n) {
        const test::TemporaryDirectory directory;
        DirectoryStore(directory.path(), files).publish(build().manifest, build().artifact);
        if (!can_exchange) {
            files.forbid_exchange();
        }
        files.fail_from(n, EIO);
        {
            Cache cache({directory.path(), false}, files);
            static_cast<void>(cache.rebuild(sample_lookup(), build_other));
        }
        files.heal();
        const auto found = look(directory.path());
        misses += found.entry ? 0U : 1U;
        CHECK((!found.entry || found.entry->artifact == build().artifact ||
               found.entry->artifact == build_other().artifact));
    });
    // In two steps there is one moment between them.
    CHECK(misses == (can_exchange ? 0U : 1U));
}

TEST_CASE("whichever call fails while a sound entry is published again, one stays", "[faults]") {
    const test::LogCapture log;
    for_every_call([&](test::FaultyFileSystem& files, std::uint64_t n) {
        const test::TemporaryDirectory directory;
        DirectoryStore store(directory.path(), files);
        store.publish(build().manifest, build().artifact);
        files.fail_call(n, EIO);
        try {
            store.publish(build_other().manifest, build_other().artifact);
        } catch (const CacheError& error) {
            CHECK(error.code().value() == EIO);
        }
        files.heal();
        // One that could not be read has given way to ours.
        CHECK(look(directory.path()).entry);
    });
}

TEST_CASE("whichever call fails while a bad entry is healed, it is never served", "[faults]") {
    const test::LogCapture log;
    for_every_call([&](test::FaultyFileSystem& files, std::uint64_t n) {
        const test::TemporaryDirectory directory;
        DirectoryStore(directory.path(), files).publish(build().manifest, build().artifact);
        test::write_file(test::entry_directory(directory.path()) / "kernels.cubin",
                         std::string(200, 'x'));
        files.fail_call(n, EIO);
        Cache cache({directory.path(), false}, files);
        const Result result = cache.find_or_build(sample_lookup(), build);
        CHECK(result.entry->artifact == build().artifact);
        CHECK(result.origin == Origin::compiled);
        files.heal();
        Cache next({directory.path(), false}, files);
        CHECK(next.find_or_build(sample_lookup(), build).entry->artifact == build().artifact);
        CHECK(look(directory.path()).entry);
    });
}

TEST_CASE("a cache that cannot be written works from memory with exactly one warning", "[faults]") {
    for (const int code : {EROFS, ENOSPC, EACCES, EIO}) {
        const test::LogCapture log;
        const test::TemporaryDirectory directory;
        test::FaultyFileSystem files;
        files.fail_from(1, code);
        Cache cache({directory.path(), false}, files);
        for (int program = 0; program < 3; ++program) {
            const Request request = test::sample_request("p" + std::to_string(program));
            const auto make = [&] { return sample_built(request); };
            CHECK(cache.find_or_build(sample_lookup(request), make).origin == Origin::compiled);
            const Result again = cache.find_or_build(sample_lookup(request), make);
            CHECK(again.origin == Origin::memory);
            CHECK(again.entry->directory.empty());
        }
        CHECK(cache.counters().compiles == 3);
        CHECK(cache.counters().publish_failures == 3);
        REQUIRE(log.messages().size() == 1);
        const std::string text = std::generic_category().message(code);
        CHECK_THAT(log.messages()[0], Catch::Contains(directory.path().string()) &&
                                          Catch::Contains(text) &&
                                          Catch::Contains("OPFORGE_CACHE_DIR"));
    }
}

TEST_CASE("a root below a file works from memory", "[faults]") {
    const test::LogCapture log;
    const test::TemporaryDirectory directory;
    test::write_file(directory.path() / "file", "");
    Cache cache({directory.path() / "file" / "root", false});
    CHECK(cache.find_or_build(sample_lookup(), build).entry);
    CHECK(cache.find_or_build(sample_lookup(), build).origin == Origin::memory);
    CHECK(log.messages().size() == 1);
}

TEST_CASE("publishing goes on once the disk lets it", "[faults]") {
    const test::LogCapture log;
    const test::TemporaryDirectory directory;
    test::FaultyFileSystem files;
    files.fail_from(1, ENOSPC);
    Cache cache({directory.path(), false}, files);
    const Request first = test::sample_request("first");
    CHECK(cache.find_or_build(sample_lookup(first), [&] { return sample_built(first); }).entry);
    files.heal();
    const Result result = cache.find_or_build(sample_lookup(), build);
    CHECK(result.entry->directory == test::entry_directory(directory.path()));
    CHECK(cache.counters().published == 1);
}

TEST_CASE("a warm start changes nothing on the disk and makes few calls", "[faults]") {
    const test::TemporaryDirectory directory;
    DirectoryStore(directory.path()).publish(build().manifest, build().artifact);
    test::FaultyFileSystem files;
    Cache cache({directory.path(), false}, files);
    CHECK(cache.find(sample_lookup()).entry);
    CHECK(files.changes() == 0);
    // The root is opened and checked, four directories below it are checked; two files are opened,
    // checked and read. With three closes that is 15 system calls.
    CHECK(files.calls() == 12);
    CHECK(cache.find(sample_lookup()).origin == Origin::memory);
    CHECK(files.calls() == 12);
}

TEST_CASE("a miss makes no directory", "[faults]") {
    const test::TemporaryDirectory directory;
    Cache cache({directory.path() / "root", false});
    CHECK_FALSE(cache.find(sample_lookup()).entry);
    CHECK_FALSE(std::filesystem::exists(directory.path() / "root"));
}
