#include "support/child_process.hpp"
#include "support/temporary_directory.hpp"

#include <file_errors.hpp>
#include <staged_output.hpp>

#include <opforge/base/bytes.hpp>

#include <catch2/catch.hpp>

#include <csignal>
#include <iterator>
#include <ostream>
#include <sys/resource.h>
#include <sys/stat.h>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

std::size_t files_in(const std::filesystem::path& folder) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                                  std::filesystem::directory_iterator()));
}

TEST_CASE("an output has its name only once it is whole", "[tools]") {
    const TemporaryDirectory folder;
    const auto path = folder.path() / "out";
    tools::StagedOutput output(path);
    output.write(as_bytes("all of "));
    output.write(as_bytes("it"));
    CHECK_FALSE(std::filesystem::exists(path));
    CHECK(output.temporary_path().parent_path() == folder.path());
    output.commit();
    CHECK(read_file(path) == "all of it");
    CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("an output that is given up leaves nothing, and leaves what was there", "[tools]") {
    const TemporaryDirectory folder;
    const auto path = folder.path() / "out";
    write_file(path, "before");
    {
        tools::StagedOutput output(path);
        output.write(as_bytes("after"));
    }
    CHECK(read_file(path) == "before");
    CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("an output through a link changes the file and keeps the link", "[tools]") {
    const TemporaryDirectory folder;
    write_file(folder.path() / "file", "before");
    std::filesystem::create_symlink("file", folder.path() / "link");
    tools::StagedOutput output(folder.path() / "link");
    output.write(as_bytes("after"));
    output.commit();
    CHECK(read_file(folder.path() / "file") == "after");
    CHECK(std::filesystem::is_symlink(folder.path() / "link"));
}

TEST_CASE("an output through a link whose file is missing makes the file and keeps the link",
          "[tools]") {
    const TemporaryDirectory folder;
    std::filesystem::create_directory(folder.path() / "sub");
    std::filesystem::create_symlink("sub/second", folder.path() / "first");
    std::filesystem::create_symlink("file", folder.path() / "sub" / "second");
    tools::StagedOutput output(folder.path() / "first");
    output.write(as_bytes("after"));
    output.commit();
    CHECK(read_file(folder.path() / "sub" / "file") == "after");
    CHECK(std::filesystem::is_symlink(folder.path() / "first"));
    CHECK(std::filesystem::is_symlink(folder.path() / "sub" / "second"));
}

TEST_CASE("an output through a loop of links is refused by its own name", "[tools]") {
    const TemporaryDirectory folder;
    std::filesystem::create_symlink("loop", folder.path() / "loop");
    CHECK_THROWS_WITH(tools::StagedOutput(folder.path() / "loop"),
                      Contains((folder.path() / "loop").string()) && Contains("loop of links"));
}

TEST_CASE("an output that replaces a file keeps its permissions", "[tools]") {
    const TemporaryDirectory folder;
    const auto path = folder.path() / "out";
    write_file(path, "private");
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    tools::StagedOutput output(path);
    CHECK(std::filesystem::status(output.temporary_path()).permissions() ==
          std::filesystem::perms(0600));
    output.commit();
    CHECK(std::filesystem::status(path).permissions() == std::filesystem::perms(0600));
}

TEST_CASE("what a killed process of the same number left is not in the way", "[tools]") {
    const TemporaryDirectory folder;
    std::filesystem::path left;
    {
        const tools::StagedOutput output(folder.path() / "out");
        left = output.temporary_path();
    }
    write_file(left, "left");
    tools::StagedOutput output(folder.path() / "out");
    output.write(as_bytes("whole"));
    output.commit();
    CHECK(read_file(folder.path() / "out") == "whole");
    CHECK(read_file(left) == "left");
}

TEST_CASE("an output past the limit of file sizes is an error that leaves nothing", "[tools]") {
    const TemporaryDirectory folder;
    const auto child = run_in_child([&folder](std::ostream& out) {
        tools::handle_termination_signals();
        const rlimit small{4096, 4096};
        ::setrlimit(RLIMIT_FSIZE, &small);
        tools::StagedOutput output(folder.path() / "out");
        try {
            output.write(Bytes(10000));
        } catch (const tools::OutputError& error) {
            out << error.what();
        }
    });
    CHECK(child.exit_code == 0);
    CHECK_THAT(child.output, Contains("File too large"));
    CHECK(files_in(folder.path()) == 0);
}

TEST_CASE("an output's mode is the umask's business", "[tools]") {
    const TemporaryDirectory folder;
    const mode_t before = ::umask(027);
    tools::StagedOutput output(folder.path() / "out");
    output.commit();
    ::umask(before);
    CHECK(std::filesystem::status(folder.path() / "out").permissions() ==
          std::filesystem::perms(0640));
}

TEST_CASE("folders, devices and missing folders are refused before anything is written",
          "[tools]") {
    const TemporaryDirectory folder;
    CHECK_THROWS_WITH(tools::StagedOutput(folder.path()), Contains("not a regular file"));
    CHECK_THROWS_WITH(tools::StagedOutput("/dev/null"), Contains("not a regular file"));
    CHECK_THROWS_WITH(tools::StagedOutput(folder.path() / "none" / "out"),
                      Contains("No such file or directory"));
    CHECK_THROWS_AS(tools::StagedOutput(folder.path() / ""), tools::OutputError);
}

TEST_CASE("a signal removes the unfinished output and ends the process with its code", "[tools]") {
    const TemporaryDirectory folder;
    for (const auto& [signal, code] : {std::pair(SIGINT, 130), std::pair(SIGTERM, 143),
                                       std::pair(SIGHUP, 129), std::pair(SIGPIPE, 141)}) {
        const int number = signal;
        const auto child = run_in_child([&folder, number](std::ostream&) {
            tools::handle_termination_signals();
            tools::StagedOutput output(folder.path() / "out");
            output.write(as_bytes("half of it"));
            if (files_in(folder.path()) == 1) {
                ::raise(number);
            }
        });
        CHECK(child.exit_code == code);
        CHECK(files_in(folder.path()) == 0);
    }
}

TEST_CASE("a signal that the process was started to ignore stays ignored", "[tools]") {
    const auto child = run_in_child([](std::ostream& out) {
        ::signal(SIGINT, SIG_IGN);
        tools::handle_termination_signals();
        ::raise(SIGINT);
        out << "and on";
    });
    CHECK(child.exit_code == 0);
    CHECK(child.output == "and on");
}

}  // namespace
}  // namespace opforge::test
