// The store stays within its limits: who goes, who stays, and that a dry run says the same.
#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include "support/cache_samples.hpp"
#include "support/faulty_file_system.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;
using namespace std::chrono_literals;

namespace {

constexpr Limits kNoLimits{0, 0};

StoreOptions limited(std::uint64_t bytes, std::uint64_t entries) {
    StoreOptions options;
    options.limits = {bytes, entries};
    return options;
}

Request request(int number) {
    return test::sample_request("program" + std::to_string(number));
}

void publish(DirectoryStore& store, int number) {
    const Built built = sample_built(request(number));
    store.publish(built.manifest, built.artifact);
}

std::filesystem::path manifest_of(const std::filesystem::path& root, int number) {
    return test::entry_directory(root, request(number)) / "manifest.json";
}

// Used so long ago.
void age(const std::filesystem::path& path, std::chrono::nanoseconds by) {
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() -
                  std::chrono::duration_cast<std::filesystem::file_time_type::duration>(by));
}

std::chrono::nanoseconds age_of(const std::filesystem::path& path) {
    return std::filesystem::file_time_type::clock::now() - std::filesystem::last_write_time(path);
}

bool is_there(const std::filesystem::path& root, int number) {
    return std::filesystem::exists(manifest_of(root, number));
}

std::uint64_t bytes_in(const std::filesystem::path& root) {
    std::uint64_t bytes = 0;
    for (const Listed& entry : DirectoryStore(root).list(true)) {
        CHECK(entry.manifest);
        bytes += entry.size_bytes;
    }
    return bytes;
}

}  // namespace

TEST_CASE("the entry above the cap that was used longest ago goes, and no other", "[eviction]") {
    const test::TemporaryDirectory directory;
    DirectoryStore store(directory.path(), posix_file_system(), limited(0, 3));
    for (int i = 0; i < 3; ++i) {
        publish(store, i);
        age(manifest_of(directory.path(), i), (i == 1 ? 3h : 2h));
    }
    publish(store, 3);
    CHECK(is_there(directory.path(), 0));
    CHECK_FALSE(is_there(directory.path(), 1));
    CHECK(is_there(directory.path(), 2));
    CHECK(is_there(directory.path(), 3));
    CHECK(store.evicted().entries == 1);
    CHECK(std::filesystem::is_empty(directory.path() / "v1" / "tmp"));
}

TEST_CASE("the cap in bytes counts manifests and artifacts", "[eviction]") {
    const test::TemporaryDirectory directory;
    DirectoryStore unlimited(directory.path(), posix_file_system(), limited(0, 0));
    publish(unlimited, 0);
    const std::uint64_t one = bytes_in(directory.path());
    age(manifest_of(directory.path(), 0), 2h);
    DirectoryStore exact(directory.path(), posix_file_system(), limited(2 * one, 0));
    publish(exact, 1);
    CHECK(bytes_in(directory.path()) == 2 * one);
    DirectoryStore below(directory.path(), posix_file_system(), limited(2 * one - 1, 0));
    publish(below, 2);
    CHECK(bytes_in(directory.path()) == one);
    CHECK(is_there(directory.path(), 2));
}

TEST_CASE("a hit counts as a use, and is noted at most hourly", "[eviction]") {
    const test::TemporaryDirectory directory;
    DirectoryStore store(directory.path());
    publish(store, 0);
    const auto hit = [&] {
        return store.find(request(0), test::sample_toolchain(), {}).entry != nullptr;
    };
    for (const auto before : {30min, 59min, -30min}) {
        age(manifest_of(directory.path(), 0), before);
        CHECK(hit());
        CHECK(age_of(manifest_of(directory.path(), 0)) > before - 1min);
    }
    for (const auto before : {61min, 60 * 24 * 3650min, -120min}) {
        age(manifest_of(directory.path(), 0), before);
        CHECK(hit());
        CHECK(std::chrono::abs(age_of(manifest_of(directory.path(), 0))) < 1min);
    }
}

TEST_CASE("a stamp that cannot be written is no fault of the hit", "[eviction]") {
    const test::LogCapture log;
    const test::TemporaryDirectory directory;
    DirectoryStore(directory.path()).publish(sample_built().manifest, sample_built().artifact);
    age(test::entry_directory(directory.path()) / "manifest.json", 2h);
    test::FaultyFileSystem files;
    Cache cache({directory.path(), false}, files);
    files.fail_call(13, EROFS);  // after all that reads the entry
    CHECK(cache.find(sample_lookup()).entry);
    CHECK(log.messages().empty());
}

TEST_CASE("stamps from before the clock was set back are the oldest, a little ahead is now",
          "[eviction]") {
    const test::TemporaryDirectory directory;
    DirectoryStore store(directory.path(), posix_file_system(), limited(0, 0));
    for (int i = 0; i < 4; ++i) {
        publish(store, i);
    }
    age(manifest_of(directory.path(), 0), -60s);     // another machine's clock
    age(manifest_of(directory.path(), 1), -87600h);  // ten years ahead
    age(manifest_of(directory.path(), 2), 87600h);   // ten years ago
    const Removal first = store.prune(false, Limits{0, 3});
    CHECK(first.removed.entries == 1);
    CHECK_FALSE(is_there(directory.path(), 1));
    CHECK(store.prune(false, Limits{0, 2}).removed.entries == 1);
    CHECK_FALSE(is_there(directory.path(), 2));
    CHECK(is_there(directory.path(), 0));
    CHECK(is_there(directory.path(), 3));
}

TEST_CASE("an artifact above the cap is not published, and the op goes on", "[eviction]") {
    const test::LogCapture log;
    const test::TemporaryDirectory directory;
    CacheOptions options;
    options.directory = directory.path();
    options.limits = Limits{100, 0};
    Cache cache(options);
    const Result result = cache.find_or_build(sample_lookup(), [] { return sample_built(); });
    REQUIRE(result.entry);
    CHECK(cache.counters().publish_failures == 1);
    REQUIRE(log.messages().size() == 1);
    CHECK_THAT(log.messages()[0], Catch::Contains("OPFORGE_CACHE_MAX_SIZE"));
    CHECK(DirectoryStore(directory.path()).list(false).empty());
}

TEST_CASE("a dry run gives the numbers of the real one and changes nothing", "[eviction]") {
    const test::TemporaryDirectory directory;
    DirectoryStore store(directory.path(), posix_file_system(), limited(0, 0));
    for (int i = 0; i < 6; ++i) {
        publish(store, i);
        age(manifest_of(directory.path(), i), i * 2h);
    }
    const std::filesystem::path tmp = directory.path() / "v1" / "tmp";
    std::filesystem::create_directory(tmp / "abandoned");
    age(tmp / "abandoned", 2h);
    std::filesystem::create_directory(tmp / "at-work");
    std::filesystem::create_directory(directory.path() / "v0");
    const auto count = [&] {
        return std::distance(std::filesystem::recursive_directory_iterator(directory.path()), {});
    };
    const auto before = count();
    const auto same = [](const Removal& a, const Removal& b) {
        return a.removed.entries == b.removed.entries && a.removed.bytes == b.removed.bytes &&
               a.kept.entries == b.kept.entries && a.kept.bytes == b.kept.bytes &&
               a.staging == b.staging && a.quarantined == b.quarantined &&
               a.old_layouts == b.old_layouts;
    };
    SECTION("of a prune") {
        const Removal dry = store.prune(true, Limits{0, 4});
        CHECK(count() == before);
        const Removal real = store.prune(false, Limits{0, 4});
        CHECK(same(dry, real));
        CHECK(real.removed.entries == 2);
        CHECK(real.kept.entries == 4);
        CHECK(real.kept.bytes == bytes_in(directory.path()));
        CHECK(real.staging == 1);
        CHECK(real.old_layouts == 1);
    }
    SECTION("of a clear") {
        test::write_file(manifest_of(directory.path(), 0), "bad");
        CHECK_FALSE(store.find(request(0), test::sample_toolchain(), {}).entry);
        test::write_file(manifest_of(directory.path(), 1), "bad");
        const auto damaged = count();
        const Removal dry = store.clear(true);
        CHECK(count() == damaged);
        const Removal real = store.clear(false);
        CHECK(same(dry, real));
        CHECK(real.removed.entries == 5);
        CHECK(real.quarantined == 1);
        CHECK(real.kept.entries == 0);
        CHECK(store.list(false).empty());
    }
    CHECK(std::filesystem::exists(tmp / "at-work"));
    CHECK_FALSE(std::filesystem::exists(tmp / "abandoned"));
    CHECK_FALSE(std::filesystem::exists(directory.path() / "v0"));
}

TEST_CASE("nothing is pruned or cleared where there is nothing", "[eviction]") {
    const test::TemporaryDirectory directory;
    DirectoryStore store(directory.path() / "root");
    CHECK(store.prune(false).removed.entries == 0);
    CHECK(store.clear(false).removed.entries == 0);
    CHECK_FALSE(std::filesystem::exists(directory.path() / "root"));
}

TEST_CASE("an entry of an older schema is pruned whatever room there is", "[eviction]") {
    const test::TemporaryDirectory directory;
    DirectoryStore store(directory.path(), posix_file_system(), limited(0, 0));
    publish(store, 0);
    publish(store, 1);
    std::string text = test::read_file(manifest_of(directory.path(), 1));
    const std::size_t at = text.rfind("\"schema\":1");
    test::write_file(manifest_of(directory.path(), 1), text.replace(at, 10, "\"schema\":0"));
    CHECK(store.prune(true, kNoLimits).removed.entries == 1);
    CHECK(store.prune(false, kNoLimits).removed.entries == 1);
    CHECK(is_there(directory.path(), 0));
    CHECK_FALSE(is_there(directory.path(), 1));
}

TEST_CASE("readers of a store that is evicted from see whole entries or none", "[eviction]") {
    const test::TemporaryDirectory directory(test::fastest_parent());
    std::atomic<bool> stop{false};
    std::atomic<int> bad{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            DirectoryStore reader(directory.path());
            for (int round = 0; !stop; ++round) {
                const auto found = reader.find(request(round % 8), test::sample_toolchain(), {});
                bad += found.refused > 0 ? 1 : 0;
            }
        });
    }
    test::FaultyFileSystem files;  // does not wait for the disk
    DirectoryStore store(directory.path(), files, limited(0, 3));
    for (int round = 0; round < 400; ++round) {
        publish(store, round % 8);
        CHECK(store.list(false).size() <= 3);
    }
    stop = true;
    for (std::thread& reader : readers) {
        reader.join();
    }
    CHECK(bad == 0);
    CHECK(store.evicted().entries > 300);
}

TEST_CASE("whichever call of an eviction fails, the publish is kept and nothing is broken",
          "[eviction]") {
    const test::LogCapture log;
    for (std::uint64_t n = 1;; ++n) {
        const test::TemporaryDirectory directory(test::fastest_parent());
        test::FaultyFileSystem files;
        DirectoryStore store(directory.path(), files, limited(0, 1));
        publish(store, 0);
        age(manifest_of(directory.path(), 0), 2h);
        files.fail_call(n, EIO);
        bool published = true;
        try {
            publish(store, 1);
        } catch (const CacheError&) {
            published = false;
        }
        const bool triggered = files.triggered();
        files.heal();
        for (const Listed& entry : store.list(true)) {
            CHECK(entry.manifest);
        }
        CHECK((!published || is_there(directory.path(), 1)));
        CHECK(files.open_descriptors() == 0);
        if (!triggered) {
            CHECK_FALSE(is_there(directory.path(), 0));
            break;
        }
        REQUIRE(n < 500);
    }
}
