#include "support/temporary_directory.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/source_set.hpp>
#include <opforge/cache/digest.hpp>

#include <catch2/catch.hpp>

using namespace opforge;
using builder::SourceSet;
using builder::SourceText;
using Catch::Matchers::Contains;

namespace {

SourceSet set_of(std::vector<SourceText> sources, std::vector<SourceText> headers = {},
                 std::vector<std::filesystem::path> directories = {}) {
    return SourceSet({std::move(sources), std::move(headers), std::move(directories)});
}

std::vector<std::string> closure(const SourceSet& sources, const std::string& name) {
    std::vector<std::string> names;
    const EmbeddedSource* const source = sources.embedded().find(name);
    REQUIRE(source != nullptr);
    for (const EmbeddedFile& header : source->headers) {
        CHECK(header.sha256 == cache::sha256(header.text).hex());
        names.emplace_back(header.name);
    }
    return names;
}

}  // namespace

TEST_CASE("a source's closure holds what it reaches, and nothing else", "[builder]") {
    const SourceSet sources =
        set_of({{"a.cu", "#include \"one.cuh\"\n"}, {"b.cu", "int b;\n"}},
               {{"one.cuh", "#if 0\n # include \"two.cuh\" // really\n#endif\n"},
                {"two.cuh", "int two;\n"},
                {"unused.cuh", "int unused;\n"}});
    CHECK(closure(sources, "a.cu") == std::vector<std::string>{"one.cuh", "two.cuh"});
    CHECK(closure(sources, "b.cu").empty());
    CHECK(sources.embedded().find("c.cu") == nullptr);
    CHECK(sources.embedded().find("b.cu")->file.sha256 == cache::sha256("int b;\n").hex());
}

TEST_CASE("an include beside its includer is compiled under its full name", "[builder]") {
    const SourceSet sources = set_of({{"op/a.cu", "#include \"parts/one.cuh\"\nint a;\n"}},
                                     {{"op/parts/one.cuh", "#include \"../two.cuh\"\n"},
                                      {"op/two.cuh", "int two;\n"},
                                      {"two.cuh", "int other;\n"}});
    CHECK(closure(sources, "op/a.cu") ==
          std::vector<std::string>{"op/parts/one.cuh", "op/two.cuh"});
    CHECK(sources.embedded().find("op/a.cu")->file.text ==
          "#include \"op/parts/one.cuh\"\nint a;\n");
}

TEST_CASE("headers may include each other in a ring", "[builder]") {
    const SourceSet sources = set_of({{"a.cu", "#include \"one.cuh\"\n"}},
                                     {{"one.cuh", "#pragma once\n#include \"two.cuh\"\n"},
                                      {"two.cuh", "#pragma once\n#include \"one.cuh\"\n"}});
    CHECK(closure(sources, "a.cu") == std::vector<std::string>{"one.cuh", "two.cuh"});
}

TEST_CASE("headers of a directory are in the closure by their digest", "[builder]") {
    const test::TemporaryDirectory folder;
    test::write_file(folder.path() / "toolkit.h", "#include <cstring>\n#include \"detail.h\"\n");
    test::write_file(folder.path() / "detail.h", "int detail;\n");
    const std::vector<SourceText> source = {{"a.cu", "#include <toolkit.h>\n"}};
    const SourceSet sources = set_of(source, {}, {folder.path()});
    CHECK(closure(sources, "a.cu") == std::vector<std::string>{"detail.h", "toolkit.h"});

    const std::string before(sources.embedded().find("a.cu")->headers[0].sha256);
    test::write_file(folder.path() / "detail.h", "int changed;\n");
    const SourceSet again = set_of(source, {}, {folder.path()});
    CHECK(again.embedded().find("a.cu")->headers[0].sha256 != before);
}

TEST_CASE("an include that is not there is refused with its file, line and the places",
          "[builder]") {
    CHECK_THROWS_WITH(set_of({{"a.cu", "int x;\n#include <cuda_fp16.h>\n"}}),
                      Contains("a.cu:2: #include <cuda_fp16.h> is not found") &&
                          Contains("Looked in: nothing"));
    CHECK_THROWS_WITH(set_of({{"a.cu", "#include \"b.cuh\"\n"}}, {{"c.cuh", ""}}),
                      Contains("a.cu:1: #include \"b.cuh\"") && Contains("Looked in: c.cuh"));
    CHECK_THROWS_WITH(set_of({{"a.cu", "#include NAME\n"}}), Contains("a.cu:1"));
    CHECK_THROWS_WITH(set_of({{"a.cu", "#include \"/etc/passwd\"\n"}}), Contains("a.cu:1"));
}

TEST_CASE("nothing outside a header directory is reached", "[builder]") {
    const test::TemporaryDirectory folder;
    std::filesystem::create_directory(folder.path() / "inner");
    test::write_file(folder.path() / "outside.h", "int outside;\n");
    CHECK_THROWS_AS(set_of({{"a.cu", "#include <../outside.h>\n"}}, {}, {folder.path() / "inner"}),
                    InvalidArgument);
}

TEST_CASE("names that clash, and places that are not there, are refused", "[builder]") {
    CHECK_THROWS_WITH(set_of({{"a.cu", ""}, {"./a.cu", ""}}), Contains("two files"));
    CHECK_THROWS_AS(set_of({{"", ""}}), InvalidArgument);
    CHECK_THROWS_WITH(set_of({{"a.cu", ""}}, {}, {"/no/such/folder"}), Contains("/no/such/folder"));
    CHECK_THROWS_WITH(builder::read_source("/no/such/file.cu"), Contains("/no/such/file.cu"));
}

TEST_CASE("a file is read under its own name or the one given", "[builder]") {
    const test::TemporaryDirectory folder;
    test::write_file(folder.path() / "scale.cu", "text");
    CHECK(builder::read_source(folder.path() / "scale.cu").name == "scale.cu");
    CHECK(builder::read_source(folder.path() / "scale.cu", "op/x.cu").name == "op/x.cu");
    CHECK(builder::read_source(folder.path() / "scale.cu").text == "text");
}
