#include "opforge_program.hpp"

#include <catch2/catch.hpp>

#include <sstream>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::VectorContains;

// What bash offers for a line, its last word being completed.
std::vector<std::string> offered(const std::vector<std::string>& words) {
    std::string line;
    for (const std::string& word : words) {
        line += " '" + word + "'";
    }
    const std::string script = std::string("source <(") + OPFORGE_PROGRAM +
                               " completion bash); COMP_WORDS=(" + line +
                               "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _opforge; "
                               "printf '%s\\n' \"${COMPREPLY[@]}\"";
    const auto result = tools::run_child({"/bin/bash", "-c", script});
    INFO(result.standard_error);
    CHECK(result.standard_error.empty());
    CHECK(result.exit_code == 0);
    std::vector<std::string> found;
    std::istringstream lines(result.standard_output);
    for (std::string each; std::getline(lines, each);) {
        found.push_back(each);
    }
    return found;
}

bool bash_here() {
    if (std::filesystem::exists("/bin/bash")) {
        return true;
    }
    WARN("SKIPPED: no bash");
    return false;
}

using Words = std::vector<std::string>;

TEST_CASE("bash completes verbs, options and their values", "[tools]") {
    if (!bash_here()) {
        return;
    }
    CHECK(offered({"opforge", "pre"}) == Words{"prewarm"});
    CHECK_THAT(offered({"opforge", ""}), VectorContains(std::string("explain")));
    CHECK_THAT(offered({"opforge", "cache", ""}), VectorContains(std::string("verify")));
    CHECK_THAT(offered({"opforge", "prewarm", "--pro"}),
               Catch::Matchers::UnorderedEquals(Words{"--progress", "--profile"}));
    CHECK(offered({"opforge", "prewarm", "--policy", "o"}) == Words{"offline"});
    CHECK(offered({"opforge", "prewarm", "--ops", "q"}) == Words{"quantizer"});
    CHECK(offered({"opforge", "prewarm", "--arch", "sm_80,nat"}) == Words{"sm_80,native"});
    CHECK(offered({"opforge", "explain", "q"}) == Words{"quantizer"});
    CHECK(offered({"opforge", "prewarm", "--worke"}) == Words{""});  // hidden
    CHECK(offered({"opforge", "completion", ""}) == Words{"bash", "zsh", "fish"});
    CHECK(offered({"opforge", "prewarm", "-j", ""}) == Words{""});
    CHECK(offered({"opforge", "cache", "list", "--cache-dir", "/usr/loc"}) == Words{"/usr/local"});
}

TEST_CASE("the values offered are those that the options take", "[tools]") {
    const OpforgeProgram program;
    for (const char* value : {"exact", "compatible", "offline"}) {
        CHECK(program.run({"prewarm", "--arch", "sm_90", "--policy", value, "--ops", "none"})
                  .standard_error.find("unknown op") != std::string::npos);
    }
    for (const char* value : {"auto", "always", "never"}) {
        CHECK(program.run({"cache", "list", "--color", value}).exit_code == 0);
    }
    for (const char* value : {"trace", "debug", "info", "warning", "error", "off"}) {
        CHECK(program.run({"cache", "list", "--log-level", value}).exit_code == 0);
    }
}

TEST_CASE("scripts for zsh and fish name every verb", "[tools]") {
    const OpforgeProgram program;
    for (const char* shell : {"zsh", "fish"}) {
        const auto script = program.run({"completion", shell});
        CHECK(script.exit_code == 0);
        for (const char* verb : {"demo", "quantize", "prewarm", "record", "explain", "report"}) {
            CHECK_THAT(script.standard_output, Contains(verb));
        }
    }
    CHECK(program.run({"completion", "tcsh"}).exit_code == 2);
    for (const char* shell : {"zsh", "fish"}) {
        const auto path = std::filesystem::path("/usr/bin") / shell;
        if (std::filesystem::exists(path)) {
            write_file(program.folder() / "script",
                       program.run({"completion", shell}).standard_output);
            CHECK(
                tools::run_child({path, "-n", (program.folder() / "script").string()}).exit_code ==
                0);
        }
    }
}

}  // namespace
}  // namespace opforge::test
