#include <opforge/base/bytes.hpp>
#include <opforge/cache/file_system.hpp>

#include "support/child_process.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ostream>

using namespace opforge;
using namespace opforge::cache;

namespace {

FileSystem& files() {
    return posix_file_system();
}

class Root {
public:
    Root() : descriptor_(files().open_root(directory_.path().string())) {}
    Root(const Root&) = delete;
    Root& operator=(const Root&) = delete;
    ~Root() { files().close(descriptor_); }
    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] std::filesystem::path operator/(const char* name) const {
        return directory_.path() / name;
    }

private:
    test::TemporaryDirectory directory_;
    int descriptor_;
};

class Umask {
public:
    explicit Umask(mode_t mask) : old_(::umask(mask)) {}
    Umask(const Umask&) = delete;
    Umask& operator=(const Umask&) = delete;
    ~Umask() { ::umask(old_); }

private:
    mode_t old_;
};

template <typename Call>
int error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        return error.code().value();
    }
    return 0;
}

void put(const Root& root, const std::string& name, std::string_view text) {
    const int descriptor = files().create_file(root.get(), name);
    files().write(descriptor, as_bytes(text));
    files().sync(descriptor);
    files().close(descriptor);
}

}  // namespace

TEST_CASE("directories are made 0700 and files 0600 whatever the umask", "[posix_file_system]") {
    const Root root;
    for (const mode_t mask : {0000U, 0022U, 0077U, 0277U, 0777U}) {
        const std::string suffix = std::to_string(mask);
        {
            const Umask umask(mask);
            files().make_directory(root.get(), "d" + suffix);
            files().close(files().create_file(root.get(), "f" + suffix));
        }
        CHECK(files().status_at(root.get(), "d" + suffix).mode == 0700);
        CHECK(files().status_at(root.get(), "f" + suffix).mode == 0600);
    }
}

TEST_CASE("nothing is made twice", "[posix_file_system]") {
    const Root root;
    files().make_directory(root.get(), "d");
    put(root, "f", "");
    CHECK(error_of([&] { files().make_directory(root.get(), "d"); }) == EEXIST);
    CHECK(error_of([&] { files().create_file(root.get(), "f"); }) == EEXIST);
}

TEST_CASE("links below the root are not followed", "[posix_file_system]") {
    const Root root;
    files().make_directory(root.get(), "d");
    put(root, "f", "text");
    std::filesystem::create_symlink("d", root / "to_d");
    std::filesystem::create_symlink("f", root / "to_f");
    std::filesystem::create_symlink("nowhere", root / "dangling");
    CHECK(error_of([&] { files().open_directory(root.get(), "to_d"); }) == ENOTDIR);
    CHECK(error_of([&] { files().open_file(root.get(), "to_f"); }) == ELOOP);
    CHECK(error_of([&] { files().create_file(root.get(), "dangling"); }) == EEXIST);
    CHECK_FALSE(std::filesystem::exists(root / "nowhere"));
    const FileStatus link = files().status_at(root.get(), "to_d");
    CHECK_FALSE(link.is_directory);
    CHECK_FALSE(link.is_regular);
}

TEST_CASE("opening a FIFO returns at once and shows that it is no file", "[posix_file_system]") {
    const Root root;
    REQUIRE(::mkfifo((root / "fifo").c_str(), 0600) == 0);
    const int descriptor = files().open_file(root.get(), "fifo");
    CHECK_FALSE(files().status(descriptor).is_regular);
    files().close(descriptor);
}

TEST_CASE("a read stops at the end of the file or of the buffer", "[posix_file_system]") {
    const Root root;
    put(root, "f", "0123456789");
    const int descriptor = files().open_file(root.get(), "f");
    CHECK(files().status(descriptor).size_bytes == 10);
    Bytes part(4);
    CHECK(files().read(descriptor, part) == 4);
    CHECK(std::ranges::equal(part, as_bytes("0123")));
    Bytes rest(100);
    CHECK(files().read(descriptor, rest) == 6);
    CHECK(files().read(descriptor, rest) == 0);
    files().close(descriptor);
}

TEST_CASE("rename_no_replace refuses any directory that is there", "[posix_file_system]") {
    const Root root;
    for (const char* name : {"from", "empty", "full"}) {
        files().make_directory(root.get(), name);
    }
    test::write_file(root / "full" / "file", "kept");
    const auto to = [&](const std::string& name) {
        return error_of([&] { files().rename_no_replace(root.get(), "from", root.get(), name); });
    };
    CHECK(to("empty") == EEXIST);
    const int full = to("full");
    CHECK((full == EEXIST || full == ENOTEMPTY));
    CHECK(test::read_file(root / "full" / "file") == "kept");
    CHECK(to("free") == 0);
    CHECK(std::filesystem::exists(root / "free"));
    CHECK_FALSE(std::filesystem::exists(root / "from"));
}

TEST_CASE("exchange swaps two directories and refuses a name that is not there",
          "[posix_file_system]") {
    const Root root;
    files().make_directory(root.get(), "a");
    files().make_directory(root.get(), "b");
    test::write_file(root / "a" / "file", "first");
    test::write_file(root / "b" / "file", "second");
    files().exchange(root.get(), "a", root.get(), "b");
    CHECK(test::read_file(root / "a" / "file") == "second");
    CHECK(test::read_file(root / "b" / "file") == "first");
    CHECK(error_of([&] { files().exchange(root.get(), "a", root.get(), "gone"); }) == ENOENT);
    CHECK(test::read_file(root / "a" / "file") == "second");
}

TEST_CASE("rename replaces a file", "[posix_file_system]") {
    const Root root;
    put(root, "old", "old");
    put(root, "new", "new");
    files().rename(root.get(), "new", root.get(), "old");
    CHECK(test::read_file(root / "old") == "new");
}

TEST_CASE("a listing holds every name but the dots, and can be repeated", "[posix_file_system]") {
    const Root root;
    put(root, "f", "");
    files().make_directory(root.get(), "d");
    for (int i = 0; i < 2; ++i) {
        auto names = files().list(root.get());
        std::sort(names.begin(), names.end());
        CHECK(names == std::vector<std::string>{"d", "f"});
    }
}

TEST_CASE("times are set to the nanosecond, of files and of directories", "[posix_file_system]") {
    const Root root;
    put(root, "f", "");
    files().make_directory(root.get(), "d");
    constexpr std::int64_t kTime = 1'234'567'890'123'456'789;
    for (const bool directory : {false, true}) {
        const int descriptor = directory ? files().open_directory(root.get(), "d")
                                         : files().open_file(root.get(), "f");
        files().set_times(descriptor, kTime);
        CHECK(files().status(descriptor).modified_nanoseconds == kTime);
        files().close(descriptor);
    }
}

TEST_CASE("a name of several components is opened, unless any of them is a link",
          "[posix_file_system]") {
    const Root root;
    files().make_directory(root.get(), "a");
    std::filesystem::create_directory(root / "a" / "b");
    test::write_file(root / "a" / "b" / "f", "");
    files().close(files().open_file(root.get(), "a/b/f"));
    files().close(files().open_directory(root.get(), "a/b"));
    CHECK(error_of([&] { files().open_file(root.get(), "a/b/missing"); }) == ENOENT);
    std::filesystem::create_directory_symlink("a", root / "link");
    std::filesystem::create_directory_symlink("b", root / "a" / "link");
    std::filesystem::create_symlink("f", root / "a" / "b" / "link");
    for (const char* name : {"link/b/f", "a/link/f", "a/b/link"}) {
        INFO(name);
        CHECK(error_of([&] { files().open_file(root.get(), name); }) == ELOOP);
    }
    CHECK(error_of([&] { files().open_directory(root.get(), "link/b"); }) == ELOOP);
}

TEST_CASE("a byte is locked by one open file description at a time, and freed by its close",
          "[posix_file_system]") {
    const Root root;
    const int one = files().open_lock_file(root.get(), "lock");
    const int two = files().open_lock_file(root.get(), "lock");
    constexpr std::uint64_t kLast = 0x7fff'ffff'ffff'ffff;
    for (const std::uint64_t byte : {std::uint64_t{0}, std::uint64_t{7}, kLast}) {
        CHECK(files().try_lock(one, byte));
        CHECK_FALSE(files().try_lock(two, byte));
    }
    CHECK(files().try_lock(two, 8));
    files().close(one);
    CHECK(files().try_lock(two, kLast));
    CHECK(files().status(two).size_bytes == 0);
    CHECK(files().status(two).mode == 0600);
    files().close(two);
    std::filesystem::create_symlink("lock", root / "link");
    CHECK(error_of([&] { files().open_lock_file(root.get(), "link"); }) == ELOOP);
}

TEST_CASE("a file that would pass the limit of file sizes is an error, not a signal",
          "[posix_file_system]") {
    const Root root;
    const std::vector<std::byte> bytes(1000);
    const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
        const rlimit limit{999, 999};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const int descriptor = files().create_file(root.get(), "f");
        out << error_of([&] { files().write(descriptor, bytes); }) << ' ';
        files().write(descriptor, std::span(bytes).first(999));
        out << error_of([&] { files().write(descriptor, std::span(bytes).first(1)); });
    });
    CHECK(child.exit_code == 0);
    CHECK(child.output == std::to_string(EFBIG) + " " + std::to_string(EFBIG));
}

TEST_CASE("removing takes what it names and nothing else", "[posix_file_system]") {
    const Root root;
    files().make_directory(root.get(), "d");
    test::write_file(root / "d" / "file", "");
    put(root, "f", "");
    CHECK(error_of([&] { files().remove_directory(root.get(), "d"); }) == ENOTEMPTY);
    CHECK(error_of([&] { files().remove_file(root.get(), "missing"); }) == ENOENT);
    files().remove_file(root.get(), "f");
    CHECK(files().list(root.get()) == std::vector<std::string>{"d"});
}
