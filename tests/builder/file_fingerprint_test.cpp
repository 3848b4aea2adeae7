#include "fake_elf.hpp"
#include "file_fingerprint.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/base/bytes.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

using namespace opforge;
using namespace opforge::builder;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

std::string hex(std::string_view text) {
    return to_hex(as_bytes(text));
}

fs::path memory_file(const fs::path& root) {
    return root / "v1" / "toolchains.json";
}

// Without a build-id: what is remembered.
std::string nameless_library(std::string_view filling) {
    return test::fake_library("", test::kOwnMachine, filling);
}

// A library whose fingerprint is remembered below `root`.
void remember(const fs::path& root, const fs::path& library) {
    RememberedFingerprints fingerprints(root);
    static_cast<void>(fingerprints.of(library));
    fingerprints.save();
}

// What is written instead of the remembered fingerprint: it shows whether the file is believed.
constexpr const char* kPlanted = "0123456789abcdef";

void plant(const fs::path& root) {
    auto json = nlohmann::json::parse(test::read_file(memory_file(root)));
    for (auto& value : json["files"]) {
        value = kPlanted;
    }
    test::write_file(memory_file(root), json.dump());
}

}  // namespace

TEST_CASE("a library's fingerprint is its build-id", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, test::fake_library("0123456789"));
    CHECK(read_fingerprint(library).text == hex("0123456789"));
}

TEST_CASE("a library without a build-id is known by its size and its two ends", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    const std::string middle(200000, 'x');
    const auto fingerprint_with = [&](const std::string& filling) {
        test::write_file(library, test::fake_library("", test::kOwnMachine, filling));
        return read_fingerprint(library).text;
    };
    const std::string plain = fingerprint_with(middle);
    CHECK_THAT(plain, StartsWith("size-"));
    CHECK(fingerprint_with(middle) == plain);
    CHECK(fingerprint_with(middle + "x") != plain);
    std::string changed = middle;
    changed.front() = 'y';
    CHECK(fingerprint_with(changed) != plain);
    changed = middle;
    changed.back() = 'y';
    CHECK(fingerprint_with(changed) != plain);
}

TEST_CASE("what is no shared library of this machine has no fingerprint, and a reason",
          "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path file = folder.path() / "lib.so";
    const auto problem_of = [&](const std::string& bytes) {
        test::write_file(file, bytes);
        const FileFingerprint found = read_fingerprint(file);
        CHECK(found.text.empty());
        return found.problem;
    };
    CHECK_THAT(problem_of(""), StartsWith("is not a shared library"));
    CHECK_THAT(problem_of("#!/bin/sh\n" + std::string(100, ' ')),
               StartsWith("is not a shared library"));
    CHECK_THAT(problem_of(test::fake_library("12345678", EM_PPC64)),
               StartsWith("is not a shared library"));
    CHECK_THAT(read_fingerprint(folder.path() / "absent").problem, StartsWith("cannot be opened"));
    CHECK_THAT(read_fingerprint(folder.path()).problem, StartsWith("is not a shared library"));
}

TEST_CASE("a FIFO in a library's place does not block", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path fifo = folder.path() / "lib.so";
    REQUIRE(::mkfifo(fifo.c_str(), S_IRUSR | S_IWUSR) == 0);
    CHECK_THAT(read_fingerprint(fifo).problem, StartsWith("is not a shared library"));
}

TEST_CASE("a library cut off anywhere is read without harm", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path file = folder.path() / "lib.so";
    const std::string whole = test::fake_library("0123456789");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        test::write_file(file, whole.substr(0, size));
        const FileFingerprint found = read_fingerprint(file);
        CHECK(found.text.empty() != found.problem.empty());
        CHECK(found.text != hex("0123456789"));
    }
}

TEST_CASE("any damaged byte of a library is read without harm", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path file = folder.path() / "lib.so";
    const std::string whole = test::fake_library("0123456789");
    for (std::size_t place = 0; place < whole.size(); ++place) {
        std::string damaged = whole;
        damaged[place] = static_cast<char>(damaged[place] ^ 0xff);
        test::write_file(file, damaged);
        const FileFingerprint found = read_fingerprint(file);
        CHECK(found.text.empty() != found.problem.empty());
    }
}

TEST_CASE("a build-id is read anew each time, not remembered", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, nameless_library("0123456789"));
    remember(folder.path(), library);
    plant(folder.path());
    test::write_file(library, test::fake_library("0123456789"));
    RememberedFingerprints fingerprints(folder.path());
    CHECK(fingerprints.of(library).text == hex("0123456789"));
}

TEST_CASE("a fingerprint is remembered by the next process", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path root = folder.path() / "deeper" / "cache";
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, nameless_library("0123456789"));
    remember(root, library);
    REQUIRE(fs::exists(memory_file(root)));
    CHECK((fs::status(memory_file(root)).permissions() & fs::perms::mask) ==
          (fs::perms::owner_read | fs::perms::owner_write));
    CHECK((fs::status(root).permissions() & fs::perms::mask) == fs::perms::owner_all);

    plant(root);
    CHECK(RememberedFingerprints(root).of(library).text == kPlanted);
}

TEST_CASE("a library that was replaced is read anew", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, nameless_library("0123456789"));
    remember(folder.path(), library);
    test::write_file(library, nameless_library("abcdefghij"));
    fs::last_write_time(library, fs::file_time_type::clock::now() + std::chrono::seconds(5));
    CHECK(RememberedFingerprints(folder.path()).of(library).text == read_fingerprint(library).text);
}

TEST_CASE("a memory that another user could have written is not believed", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, nameless_library("0123456789"));
    remember(folder.path(), library);
    plant(folder.path());

    SECTION("writable for all") {
        fs::permissions(memory_file(folder.path()), fs::perms::others_write, fs::perm_options::add);
    }
    SECTION("a link") {
        fs::rename(memory_file(folder.path()), folder.path() / "elsewhere.json");
        fs::create_symlink(folder.path() / "elsewhere.json", memory_file(folder.path()));
    }
    CHECK(RememberedFingerprints(folder.path()).of(library).text == read_fingerprint(library).text);
}

TEST_CASE("a damaged memory counts as absent and is replaced", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, nameless_library("0123456789"));
    remember(folder.path(), library);
    const std::string good = test::read_file(memory_file(folder.path()));
    const std::vector<std::string> damages = {
        "",
        "{",
        "[]",
        "null",
        R"({"schema":1})",
        R"({"schema":2,"files":{}})",
        R"({"schema":"1","files":{}})",
        R"({"schema":1,"files":[]})",
        R"({"schema":1,"files":{"a":1}})",
        std::string(100000, '['),
        std::string(70000, ' ') + good,
        good.substr(0, good.size() / 2),
        "\xff\xfe" + good,
    };
    for (const std::string& damage : damages) {
        CAPTURE(damage.substr(0, 60));
        test::write_file(memory_file(folder.path()), damage);
        remember(folder.path(), library);
        CHECK(test::read_file(memory_file(folder.path())) == good);
    }
}

TEST_CASE("a value that is no fingerprint is read anew", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, nameless_library("0123456789"));
    remember(folder.path(), library);
    for (const std::string value : {"", "../../x", "ABCDEF0123", "short", "line\nend"}) {
        auto json = nlohmann::json::parse(test::read_file(memory_file(folder.path())));
        for (auto& one : json["files"]) {
            one = value;
        }
        test::write_file(memory_file(folder.path()), json.dump());
        CHECK(RememberedFingerprints(folder.path()).of(library).text ==
              read_fingerprint(library).text);
    }
}

TEST_CASE("a memory that cannot be written is no failure", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, nameless_library("0123456789"));
    const fs::path root = folder.path() / "file";
    test::write_file(root, "not a directory");
    RememberedFingerprints fingerprints(root);
    CHECK(fingerprints.of(library).text == read_fingerprint(library).text);
    fingerprints.save();
    CHECK(test::read_file(root) == "not a directory");
}

TEST_CASE("without a cache root nothing is remembered and nothing is written", "[fingerprint]") {
    const test::TemporaryDirectory folder;
    const fs::path library = folder.path() / "lib.so";
    test::write_file(library, nameless_library("0123456789"));
    RememberedFingerprints fingerprints({});
    CHECK(fingerprints.of(library).text == read_fingerprint(library).text);
    fingerprints.save();
    test::write_file(library, nameless_library("abcdefghij"));
    CHECK(fingerprints.of(library).text == read_fingerprint(library).text);
}
