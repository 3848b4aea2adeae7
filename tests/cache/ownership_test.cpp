// What others own or could have written is never loaded, never moved, and the reason says what to
// do.
#include <opforge/cache/cache.hpp>
#include <opforge/cache/errors.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

using namespace opforge;
using namespace opforge::cache;
using test::sample_built;
using test::sample_lookup;

namespace {

constexpr uid_t kStranger = 54321;

// A root with one sound entry, and the path of each thing that a lookup opens on its way to it.
class Published {
public:
    Published() {
        const Built built = sample_built();
        DirectoryStore(root()).publish(built.manifest, built.artifact);
        const std::filesystem::path entry = test::entry_directory(root());
        directories = {root(), root() / "v1", root() / "v1" / "entries", entry.parent_path(),
                       entry};
        files = {entry / "manifest.json", entry / "kernels.cubin"};
        all = directories;
        all.insert(all.end(), files.begin(), files.end());
    }
    [[nodiscard]] std::filesystem::path root() const { return directory_.path() / "root"; }
    [[nodiscard]] std::filesystem::path outside() const { return directory_.path() / "outside"; }

    std::vector<std::filesystem::path> directories;
    std::vector<std::filesystem::path> files;
    std::vector<std::filesystem::path> all;

private:
    test::TemporaryDirectory directory_;
};

// Not served, left in place, named with its path; and the op is served all the same, with one
// warning.
void check_refused(const Published& published, const std::filesystem::path& culprit) {
    INFO(culprit);
    DirectoryStore store(published.root());
    for (const bool any : {false, true}) {
        const auto found = any ? store.find_any(test::sample_request(), {})
                               : store.find(test::sample_request(), test::sample_toolchain(), {});
        CHECK(found.entry == nullptr);
        CHECK(found.refusal == Refusal::insecure);
        CHECK(found.quarantined == 0);
        CHECK(found.refused == 1);
        CHECK_THAT(found.reason, Catch::Contains(culprit.string()));
        CHECK_THAT(found.reason, Catch::Contains("remove it") || Catch::Contains("chmod"));
    }
    CHECK(std::filesystem::exists(std::filesystem::symlink_status(culprit)));

    const test::LogCapture log;
    Cache cache({published.root(), false});
    const Result result = cache.find_or_build(sample_lookup(), [] { return sample_built(); });
    REQUIRE(result.entry);
    CHECK(result.origin == Origin::compiled);
    CHECK(result.entry->artifact == sample_built().artifact);
    CHECK(cache.counters().publish_failures == 1);
    REQUIRE(log.messages().size() == 1);
    CHECK_THAT(log.messages()[0], Catch::Contains(culprit.string()));
}

}  // namespace

TEST_CASE("whatever belongs to another user is refused", "[ownership]") {
    if (::geteuid() != 0) {
        std::cout << "SKIPPED: only root can give files to another user\n";
        return;
    }
    const std::size_t count = Published().all.size();
    for (std::size_t i = 0; i < count; ++i) {
        const Published published;
        REQUIRE(::chown(published.all[i].c_str(), kStranger, kStranger) == 0);
        check_refused(published, published.all[i]);
    }
}

TEST_CASE("root's files serve another user where the modes let them be read", "[ownership]") {
    if (::geteuid() != 0) {
        std::cout << "SKIPPED: only root can become another user\n";
        return;
    }
    const Published published;
    REQUIRE(::chmod(published.root().parent_path().c_str(), 0755) == 0);
    for (const auto& directory : published.directories) {
        REQUIRE(::chmod(directory.c_str(), 0755) == 0);
    }
    for (const auto& file : published.files) {
        REQUIRE(::chmod(file.c_str(), 0644) == 0);
    }
    REQUIRE(::seteuid(kStranger) == 0);
    DirectoryStore store(published.root());
    const auto found = store.find(test::sample_request(), test::sample_toolchain(), {});
    std::string refusal;
    try {
        const Built other = sample_built(test::sample_request("other"));
        store.publish(other.manifest, other.artifact);
    } catch (const CacheError& error) {
        refusal = error.what();
    }
    REQUIRE(::seteuid(0) == 0);
    CHECK(found.entry != nullptr);
    CHECK_THAT(refusal,
               Catch::Contains("Permission denied") && Catch::Contains("OPFORGE_CACHE_DIR"));
}

TEST_CASE("whatever others could write to is refused and not silently mended", "[ownership]") {
    const std::size_t count = Published().all.size();
    for (std::size_t i = 0; i < count; ++i) {
        for (const unsigned bit : {0020U, 0002U}) {
            const Published published;
            const std::filesystem::path& culprit = published.all[i];
            const auto mode = std::filesystem::perms(0700U | bit);
            std::filesystem::permissions(culprit, mode);
            check_refused(published, culprit);
            CHECK(std::filesystem::status(culprit).permissions() == mode);
        }
    }
}

TEST_CASE("links below the root are refused, also to what would be sound", "[ownership]") {
    const std::size_t count = Published().all.size();
    for (std::size_t i = 1; i < count; ++i) {
        const Published published;
        std::filesystem::rename(published.all[i], published.outside());
        std::filesystem::create_symlink(published.outside(), published.all[i]);
        check_refused(published, published.all[i]);
    }
}

TEST_CASE("a root reached through a link serves", "[ownership]") {
    const Published published;
    std::filesystem::create_directory_symlink(published.root(), published.outside());
    CHECK(DirectoryStore(published.outside())
              .find(test::sample_request(), test::sample_toolchain(), {})
              .entry);
}

TEST_CASE("a FIFO or a directory in a file's place is refused without blocking", "[ownership]") {
    for (const bool fifo : {true, false}) {
        for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
            const Published published;
            const std::filesystem::path& culprit = published.files[i];
            std::filesystem::remove(culprit);
            if (fifo) {
                REQUIRE(::mkfifo(culprit.c_str(), 0600) == 0);
            } else {
                std::filesystem::create_directory(culprit);
                std::filesystem::permissions(culprit, std::filesystem::perms(0700));
            }
            check_refused(published, culprit);
        }
    }
}

TEST_CASE("a file in a directory's place is refused", "[ownership]") {
    const std::size_t count = Published().directories.size();
    for (std::size_t i = 1; i < count; ++i) {
        const Published published;
        std::filesystem::remove_all(published.directories[i]);
        test::write_file(published.directories[i], "");
        check_refused(published, published.directories[i]);
    }
}

TEST_CASE("a staging folder that others could write to is not published from", "[ownership]") {
    const Published published;
    const std::filesystem::path tmp = published.root() / "v1" / "tmp";
    std::filesystem::permissions(tmp, std::filesystem::perms(0777));
    const Built other = sample_built(test::sample_request("other"));
    CHECK_THROWS_WITH(DirectoryStore(published.root()).publish(other.manifest, other.artifact),
                      Catch::Contains(tmp.string()) && Catch::Contains("0777"));
}

TEST_CASE("replacing does not touch an entry that is not ours alone", "[ownership]") {
    const Published published;
    const std::filesystem::path entry = test::entry_directory(published.root());
    std::filesystem::permissions(entry, std::filesystem::perms(0777));
    const Built built = sample_built();
    CHECK_THROWS_AS(DirectoryStore(published.root()).replace(built.manifest, built.artifact),
                    CacheError);
    CHECK(std::filesystem::exists(entry / "manifest.json"));
}
