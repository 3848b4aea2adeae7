#include <opforge/base/error.hpp>
#include <opforge/cache/directory_store.hpp>
#include <opforge/cache/errors.hpp>

#include "support/cache_samples.hpp"
#include "support/faulty_file_system.hpp"
#include "support/log_capture.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

using namespace opforge;
using namespace opforge::cache;
using test::entry_directory;
using test::sample_built;
using test::sample_request;
using test::sample_toolchain;

namespace {

// Fast: it makes no fsync.
class Store {
public:
    [[nodiscard]] const std::filesystem::path& root() const { return directory_.path(); }
    DirectoryStore* operator->() { return &store_; }
    [[nodiscard]] DirectoryStore::Found find(const Request& request = sample_request()) {
        return store_.find(request, sample_toolchain(), {});
    }
    std::filesystem::path publish(const Built& built = sample_built()) {
        return store_.publish(built.manifest, built.artifact);
    }
    [[nodiscard]] std::vector<std::string> names_in(const char* folder) const {
        std::vector<std::string> names;
        const std::filesystem::path path = root() / "v1" / folder;
        if (std::filesystem::exists(path)) {
            for (const auto& entry : std::filesystem::directory_iterator(path)) {
                names.push_back(entry.path().filename().string());
            }
        }
        return names;
    }

private:
    test::TemporaryDirectory directory_;
    test::FaultyFileSystem files_;
    DirectoryStore store_{directory_.path(), files_};
};

unsigned mode_of(const std::filesystem::path& path) {
    return static_cast<unsigned>(std::filesystem::status(path).permissions());
}

}  // namespace

TEST_CASE("what is published reads back whole", "[directory_store]") {
    Store store;
    const Built built = sample_built();
    CHECK(store.publish(built) == entry_directory(store.root()));
    const auto found = store.find();
    REQUIRE(found.entry);
    CHECK(found.entry->artifact == built.artifact);
    CHECK(to_canonical_json(found.entry->manifest) == to_canonical_json(built.manifest));
    CHECK(found.entry->directory == entry_directory(store.root()));
    CHECK(found.refused == 0);
    CHECK(store.names_in("tmp").empty());
}

TEST_CASE("an entry is laid out as docs/cache_format.md says", "[directory_store]") {
    Store store;
    const mode_t old = ::umask(0);
    store.publish();
    Built ptx = sample_built();
    ptx.manifest.request.artifact_kind = ptx.manifest.artifact.kind = "ptx";
    const std::filesystem::path ptx_entry = store.publish(ptx);
    ::umask(old);
    CHECK(std::filesystem::exists(ptx_entry / "kernels.ptx"));
    CHECK(test::read_file(store.root() / "CACHEDIR.TAG")
              .starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    const Built built = sample_built();
    const std::filesystem::path entry = entry_directory(store.root());
    CHECK(test::read_file(entry / "manifest.json") == to_canonical_json(built.manifest));
    CHECK(test::read_file(entry / "kernels.cubin").size() == built.artifact.size());
    for (const auto& below : std::filesystem::recursive_directory_iterator(store.root())) {
        INFO(below.path());
        CHECK(mode_of(below.path()) == (below.is_directory() ? 0700U : 0600U));
    }
}

TEST_CASE("publishing again keeps the sound entry that is there", "[directory_store]") {
    Store store;
    store.publish();
    CHECK(store.publish(sample_built(sample_request(), sample_toolchain(), 300)) ==
          entry_directory(store.root()));
    CHECK(store.find().entry->artifact == sample_built().artifact);
    CHECK(store.names_in("tmp").empty());
}

TEST_CASE("publishing where others keep replacing the entry leaves theirs", "[directory_store]") {
    const test::LogCapture log;
    const test::TemporaryDirectory directory;
    test::FaultyFileSystem files;
    DirectoryStore store(directory.path(), files);
    DirectoryStore other(directory.path());
    const Built built = sample_built();
    store.publish(built.manifest, built.artifact);
    std::size_t replaced = 0;
    files.before_opening_files([&] {
        const Built next = sample_built(sample_request(), sample_toolchain(), 300 + replaced);
        other.replace(next.manifest, next.artifact);
        ++replaced;
    });
    CHECK(store.publish(built.manifest, built.artifact) == entry_directory(directory.path()));
    files.before_opening_files(nullptr);
    CHECK(replaced >= 3);
    const auto found = store.find(sample_request(), sample_toolchain(), {});
    REQUIRE(found.entry);
    CHECK(found.entry->artifact.size() == 300 + replaced - 1);
    CHECK_FALSE(std::filesystem::exists(directory.path() / "v1" / "quarantine"));
}

TEST_CASE("publishing puts a bad entry into quarantine and takes its place", "[directory_store]") {
    Store store;
    store.publish();
    const std::filesystem::path entry = entry_directory(store.root());
    SECTION("a changed artifact") {
        test::write_file(entry / "kernels.cubin", "changed");
    }
    SECTION("a missing manifest") {
        std::filesystem::remove(entry / "manifest.json");
    }
    SECTION("an empty folder") {
        std::filesystem::remove_all(entry);
        std::filesystem::create_directory(entry);
    }
    SECTION("another entry's files") {
        const auto other = store.publish(sample_built(sample_request("other")));
        std::filesystem::remove_all(entry);
        std::filesystem::copy(other, entry, std::filesystem::copy_options::recursive);
    }
    store.publish();
    CHECK(store.find().entry);
    CHECK(store.names_in("quarantine").size() == 1);
}

TEST_CASE("a lookup says what is wrong and moves it away", "[directory_store]") {
    Store store;
    store.publish();
    const std::filesystem::path entry = entry_directory(store.root());
    Refusal expected{};
    SECTION("the manifest is missing") {
        std::filesystem::remove(entry / "manifest.json");
        expected = Refusal::malformed;
    }
    SECTION("the artifact is missing") {
        std::filesystem::remove(entry / "kernels.cubin");
        expected = Refusal::malformed;
    }
    SECTION("the artifact is another one of the same size") {
        test::write_file(entry / "kernels.cubin", std::string(200, 'x'));
        expected = Refusal::wrong_digest;
    }
    SECTION("the whole entry is another program's") {
        const auto other = store.publish(sample_built(sample_request("other")));
        std::filesystem::remove_all(entry);
        std::filesystem::rename(other, entry);
        expected = Refusal::wrong_target;
    }
    SECTION("the whole entry is another toolchain's") {
        const auto other = store.publish(sample_built(sample_request(), sample_toolchain(12)));
        std::filesystem::remove_all(entry);
        std::filesystem::rename(other, entry);
        expected = Refusal::wrong_target;
    }
    SECTION("the manifest is larger than the cap") {
        std::filesystem::resize_file(entry / "manifest.json", kMaxManifestBytes + 1);
        expected = Refusal::malformed;
    }
    SECTION("the artifact is larger than any") {
        std::filesystem::resize_file(entry / "kernels.cubin", std::uintmax_t{1} << 40U);
        expected = Refusal::wrong_digest;
    }
    const auto found = store.find();
    CHECK_FALSE(found.entry);
    CHECK(to_string(found.refusal) == to_string(expected));
    CHECK(found.refused == 1);
    CHECK(found.quarantined == 1);
    CHECK_FALSE(found.reason.empty());
    CHECK_FALSE(std::filesystem::exists(entry));
    CHECK(store.names_in("quarantine").size() == 1);
    CHECK(store.find().refusal == Refusal::absent);
}

TEST_CASE("the last sixteen bad entries are kept", "[directory_store]") {
    Store store;
    std::vector<std::string> names;
    for (int i = 0; i < 20; ++i) {
        const Request request = sample_request(std::to_string(i));
        names.push_back(store.publish(sample_built(request)).filename().string());
        CHECK(store->quarantine(names.back()));
    }
    const auto kept = store.names_in("quarantine");
    CHECK(kept.size() == 16);
    for (std::size_t i = 0; i < names.size(); ++i) {
        const bool is_kept = std::any_of(kept.begin(), kept.end(), [&](const std::string& name) {
            return name.ends_with(names[i]);
        });
        CHECK(is_kept == (i >= 4));
    }
}

TEST_CASE("quarantine moves the entry that is named, once", "[directory_store]") {
    Store store;
    const std::string name = store.publish().filename().string();
    CHECK(store->quarantine(name));
    CHECK_FALSE(store->quarantine(name));
    CHECK(store->leftovers().quarantined == 1);
    CHECK(store->leftovers().staging == 0);
    CHECK(store.find().refusal == Refusal::absent);
    for (const char* bad : {"", "..", "../../etc", "manifest.json"}) {
        CHECK_THROWS_AS(store->quarantine(bad), InvalidArgument);
    }
    std::string slashed = name;
    slashed[0] = '/';
    CHECK_THROWS_AS(store->quarantine(slashed), InvalidArgument);
    CHECK_THROWS_AS(store->quarantine(name + "/x"), InvalidArgument);
}

TEST_CASE("a list names sound and bad entries and moves none", "[directory_store]") {
    Store store;
    const std::filesystem::path good = store.publish();
    const std::filesystem::path torn = store.publish(sample_built(sample_request("torn")));
    const std::filesystem::path flipped = store.publish(sample_built(sample_request("flipped")));
    std::filesystem::resize_file(torn / "kernels.cubin", 10);
    test::write_file(flipped / "kernels.cubin", std::string(200, 'x'));
    std::filesystem::create_directory(good.parent_path() / "junk");
    for (const bool deep : {false, true}) {
        const auto listed = store->list(deep);
        REQUIRE(listed.size() == 4);
        CHECK(std::is_sorted(listed.begin(), listed.end(),
                             [](const Listed& a, const Listed& b) { return a.name < b.name; }));
        for (const Listed& one : listed) {
            INFO(one.directory);
            CHECK(one.directory.filename() == one.name);
            // Only a deep look can tell that bytes of the right number are the wrong ones.
            const bool sound = one.directory == good || (!deep && one.directory == flipped);
            CHECK(one.manifest.has_value() == sound);
            CHECK(one.reason.empty() == sound);
        }
    }
    const auto listed = store->list(true);
    const auto whole = std::find_if(listed.begin(), listed.end(),
                                    [&](const Listed& one) { return one.directory == good; });
    CHECK(whole->size_bytes == std::filesystem::file_size(good / "manifest.json") + 200);
    CHECK(whole->modified_nanoseconds > 0);
    CHECK(store.names_in("quarantine").empty());
}

TEST_CASE("a list of no directory is empty, of a refused one an error", "[directory_store]") {
    const test::TemporaryDirectory directory;
    CHECK(DirectoryStore(directory.path() / "missing").list(true).empty());
    CHECK(DirectoryStore(directory.path()).list(true).empty());
    std::filesystem::permissions(directory.path(), std::filesystem::perms(0777));
    CHECK_THROWS_WITH(DirectoryStore(directory.path()).list(false),
                      Catch::Contains(directory.path().string()) && Catch::Contains("0777"));
}

TEST_CASE("a manifest that does not fit the artifact is not published", "[directory_store]") {
    Store store;
    Built built = sample_built();
    built.artifact.pop_back();
    CHECK_THROWS_AS(store.publish(built), InvalidArgument);
    CHECK(std::filesystem::is_empty(store.root()));
}

TEST_CASE("a sweep removes staging folders older than an hour", "[directory_store]") {
    Store store;
    store.publish();
    const std::filesystem::path tmp = store.root() / "v1" / "tmp";
    for (const char* name : {"old", "young"}) {
        std::filesystem::create_directory(tmp / name);
        test::write_file(tmp / name / "kernels.cubin", "half");
    }
    const auto now = std::filesystem::file_time_type::clock::now();
    std::filesystem::last_write_time(tmp / "old", now - std::chrono::minutes(61));
    std::filesystem::last_write_time(tmp / "young", now - std::chrono::minutes(59));
    store->sweep();
    CHECK(store.names_in("tmp") == std::vector<std::string>{"young"});
    CHECK(store.find().entry);
}

TEST_CASE("a sweep follows no link out of the staging folder", "[directory_store]") {
    Store store;
    store.publish();
    const std::filesystem::path outside = store.root() / "outside";
    std::filesystem::create_directory(outside);
    test::write_file(outside / "precious", "");
    const std::filesystem::path link = store.root() / "v1" / "tmp" / "link";
    std::filesystem::create_directory_symlink(outside, link);
    const timespec times[2] = {{0, 0}, {0, 0}};
    REQUIRE(::utimensat(AT_FDCWD, link.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
    store->sweep();
    CHECK(store.names_in("tmp").empty());
    CHECK(std::filesystem::exists(outside / "precious"));
}

TEST_CASE("a root that is removed and made anew goes on working", "[directory_store]") {
    const test::TemporaryDirectory directory;
    const std::filesystem::path root = directory.path() / "root";
    DirectoryStore store(root);
    const Built built = sample_built();
    for (int round = 0; round < 2; ++round) {
        store.publish(built.manifest, built.artifact);
        CHECK(store.find(sample_request(), sample_toolchain(), {}).entry);
        std::filesystem::remove_all(root);
        CHECK(store.find(sample_request(), sample_toolchain(), {}).refusal == Refusal::absent);
    }
}

TEST_CASE("a reader beside a writer that replaces sees the old entry, none, or the new one",
          "[directory_store]") {
    const test::LogCapture log;
    Store store;
    store.publish();
    const Built built[2] = {sample_built(),
                            sample_built(sample_request(), sample_toolchain(), 300)};
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        for (int i = 0; !stop; ++i) {
            const Built& next = built[i % 2];
            store->replace(next.manifest, next.artifact);
        }
    });
    std::uint64_t served = 0;
    std::uint64_t wrong = 0;
    std::uint64_t moved = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(400);
    while (std::chrono::steady_clock::now() < end) {
        const auto found = store.find();
        moved += found.quarantined;
        if (found.entry) {
            ++served;
            wrong += found.entry->artifact == built[0].artifact ||
                             found.entry->artifact == built[1].artifact
                         ? 0U
                         : 1U;
        }
    }
    stop = true;
    writer.join();
    CHECK(served > 0);
    CHECK(wrong == 0);
    CHECK(moved == 0);
    CHECK(store.names_in("quarantine").empty());
    CHECK(store.find().entry);
}

TEST_CASE("each refusal has a name of its own", "[directory_store]") {
    std::set<std::string_view> names;
    for (const Refusal refusal :
         {Refusal::absent, Refusal::unreadable, Refusal::insecure, Refusal::malformed,
          Refusal::wrong_digest, Refusal::wrong_target, Refusal::unacceptable}) {
        names.insert(to_string(refusal));
    }
    CHECK(names.size() == 7);
}
