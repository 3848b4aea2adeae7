// What opforge_embed_kernels() makes: of the quantizer's own sources, of a fixture of odd text, and
// of mistakes.
#include "support/child_process.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/cache/digest.hpp>
#include <opforge/embedded/embed_fixture.hpp>
#include <opforge/embedded/opforge_kernel_sources.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

using namespace opforge;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> header_names(const EmbeddedSource& source) {
    std::vector<std::string> names;
    for (const EmbeddedFile& header : source.headers) {
        names.emplace_back(header.name);
    }
    return names;
}

using Names = std::vector<std::string>;

const EmbeddedSource& fixture(std::string_view name) {
    const EmbeddedSource* source = test::embedded::fixture().find(name);
    REQUIRE(source != nullptr);
    return *source;
}

const EmbeddedFile& header_of(const EmbeddedSource& source, std::string_view name) {
    for (const EmbeddedFile& header : source.headers) {
        if (header.name == name) {
            return header;
        }
    }
    FAIL("no header " << name);
    throw 0;
}

// Runs the build's script over files made up here, as opforge_embed_kernels() would.
struct Embedding {
    test::TemporaryDirectory folder;

    test::ChildResult run(const std::string& source, const std::string& header) const {
        test::write_file(folder.path() / "a.cu", source);
        test::write_file(folder.path() / "b.cuh", header);
        const std::string base = folder.path().string();
        test::write_file(folder.path() / "input.cmake",
                         "set(library lib)\nset(namespace n)\nset(function f)\nset(output " + base +
                             "/lib.cpp)\nset(SOURCES_names a.cu)\nset(SOURCES_files " + base +
                             "/a.cu)\nset(HEADERS_names b.cuh)\nset(HEADERS_files " + base +
                             "/b.cuh)\n");
        return test::run_program(
            {CMAKE, "-D", "input=" + base + "/input.cmake", "-P", EMBED_SCRIPT});
    }
};

}  // namespace

TEST_CASE("the quantizer's embedded files are those on the disk, with their SHA-256", "[embed]") {
    const fs::path root = KERNEL_SOURCES;
    REQUIRE(kernel_sources::quantizer().find("quantizer/fake_quantize.cu") != nullptr);
    for (const EmbeddedSource& source : kernel_sources::quantizer().sources) {
        CAPTURE(source.file.name);
        CHECK(source.file.text == test::read_file(root / source.file.name));
        CHECK(source.file.sha256 == cache::sha256(source.file.text).hex());
        REQUIRE_FALSE(source.headers.empty());
        for (const EmbeddedFile& header : source.headers) {
            CAPTURE(header.name);
            CHECK(header.text == test::read_file(root / "include" / header.name));
            CHECK(header.sha256 == cache::sha256(header.text).hex());
        }
    }
}

TEST_CASE("every kernel source in the tree is embedded", "[embed]") {
    std::set<std::string> on_disk;
    const fs::path root = KERNEL_SOURCES;
    for (const auto& entry : fs::recursive_directory_iterator(root / "quantizer")) {
        on_disk.insert(fs::relative(entry.path(), root).string());
    }
    std::set<std::string> embedded;
    for (const EmbeddedSource& source : kernel_sources::quantizer().sources) {
        embedded.emplace(source.file.name);
    }
    CHECK(embedded == on_disk);
}

TEST_CASE("every kernel header in the tree is embedded and reached", "[embed]") {
    std::set<std::string> on_disk;
    const fs::path root = fs::path(KERNEL_SOURCES) / "include";
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
        if (entry.is_regular_file()) {
            on_disk.insert(fs::relative(entry.path(), root).string());
        }
    }
    std::set<std::string> reached;
    for (const EmbeddedSource& source : kernel_sources::quantizer().sources) {
        const Names names = header_names(source);
        reached.insert(names.begin(), names.end());
    }
    CHECK(reached == on_disk);
}

TEST_CASE("any text is embedded byte for byte", "[embed]") {
    const EmbeddedSource& odd = fixture("odd.inc");
    CHECK(odd.file.text == test::read_file(fs::path(FIXTURE) / "odd.inc"));
    CHECK(odd.file.sha256 == cache::sha256(odd.file.text).hex());
    const EmbeddedFile& two = header_of(odd, "parts/two.inc");
    REQUIRE(two.text.find("\r\n") != std::string::npos);  // else a tool has mended the fixture
    CHECK(two.text == test::read_file(fs::path(FIXTURE) / "include/parts/two.inc"));
    CHECK(header_of(odd, "parts/unreached.inc").text.empty());
}

TEST_CASE("a closure has every header that is reached, also behind #if, once and sorted",
          "[embed]") {
    CHECK(header_names(fixture("odd.inc")) ==
          Names{"beside.inc", "parts/one.inc", "parts/two.inc", "parts/unreached.inc"});
    CHECK(header_names(fixture("plain.inc")).empty());
}

TEST_CASE(
    "an include beside the includer is embedded under its full name, and nothing else changes",
    "[embed]") {
    std::string expected = test::read_file(fs::path(FIXTURE) / "include/parts/one.inc");
    const std::string beside = "\"two.inc\"";
    expected.replace(expected.find(beside), beside.size(), "\"parts/two.inc\"");
    const EmbeddedFile& one = header_of(fixture("odd.inc"), "parts/one.inc");
    CHECK(one.text == expected);
    CHECK(one.sha256 == cache::sha256(expected).hex());
}

TEST_CASE("a source that is not embedded is not found", "[embed]") {
    CHECK(test::embedded::fixture().find("absent.cu") == nullptr);
    CHECK(test::embedded::fixture().find("parts/one.inc") == nullptr);
}

TEST_CASE("an include that is not among the headers stops the build with file and line",
          "[embed]") {
    const Embedding embedding;
    const std::string base = embedding.folder.path().string();
    const auto in_source = embedding.run("\n\n#include \"c.cuh\"\n", "");
    CHECK(in_source.exit_code != 0);
    CHECK_THAT(in_source.output,
               Contains(base + "/a.cu:3: #include \"c.cuh\"") && Contains("b.cuh"));

    const auto in_header =
        embedding.run("#include \"b.cuh\"\n", "// ;[]\\\n;;\n#include \"c.cuh\"\n");
    CHECK(in_header.exit_code != 0);
    CHECK_THAT(in_header.output, Contains(base + "/b.cuh:3: #include \"c.cuh\""));
    CHECK_FALSE(fs::exists(embedding.folder.path() / "lib.cpp"));
}

TEST_CASE("system headers and includes by macro stop the build with file and line", "[embed]") {
    const Embedding embedding;
    for (const std::string include :
         {"#include <cuda_fp16.h>", "#  include<cstdint>", "#include HEADER",
          "#include_next \"b.cuh\"", "#include \"b.cuh", "#include"}) {
        CAPTURE(include);
        const auto run = embedding.run("//\n" + include + "\n", "");
        CHECK(run.exit_code != 0);
        CHECK_THAT(run.output, Contains("/a.cu:2: #include"));
    }
}

TEST_CASE("headers that include each other are each embedded once", "[embed]") {
    const Embedding embedding;
    const auto run = embedding.run("#include \"b.cuh\"\n", "#pragma once\n#include \"b.cuh\"\n");
    INFO(run.output);
    CHECK(run.exit_code == 0);
    CHECK_THAT(test::read_file(embedding.folder.path() / "lib.cpp"), Contains("namespace n {"));
}
