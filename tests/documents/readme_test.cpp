// What the README shows must be what is built and run here.
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <filesystem>
#include <string>

namespace {

const std::filesystem::path kSource = OPFORGE_SOURCE_DIR;

std::string output_of(const std::string& command) {
    std::string output;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
        output.push_back(static_cast<char>(c));
    }
    REQUIRE(::pclose(pipe) == 0);
    return output;
}

}  // namespace

TEST_CASE("the README's example prints what the README says", "[documents]") {
    const std::string output = output_of(OPFORGE_QUICKSTART);
    const std::string readme = opforge::test::read_file(kSource / "README.md");
    REQUIRE_FALSE(output.empty());
    CHECK(readme.find(output.substr(0, output.find_last_not_of(' ') + 1)) != std::string::npos);
}
