#include "opforge_program.hpp"

#include <opforge/builder/quantizer_builder.hpp>

#include <catch2/catch.hpp>

#include <algorithm>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

const Variables kScript = {{"SCRIPTED_PROGRAMS", "takes_1_a takes_1_b"}};

TEST_CASE("explain tells hits and misses of each program, as text and as JSON", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    REQUIRE(program.run({"prewarm", "--arch", "sm_90", "--ops", "scripted/takes_1_a"}, kScript)
                .exit_code == 0);
    const auto answer = program.ask({"explain", "scripted", "--arch", "sm_90"}, kScript);
    CHECK(answer.exit_code == 0);
    CHECK(answer.data().at("hits") == 1);
    CHECK(answer.data().at("misses") == 1);
    const tools::Json& programs = answer.data().at("programs");
    REQUIRE(programs.size() == 2);
    CHECK(programs.at(0).at("program") == "takes_1_a");
    CHECK(programs.at(0).at("hit") == true);
    CHECK(programs.at(0).at("differs").empty());
    CHECK(programs.at(1).at("hit") == false);
    REQUIRE(programs.at(1).at("differs").size() == 1);
    const tools::Json& differs = programs.at(1).at("differs").at(0);
    CHECK(differs.at("field") == "program");
    CHECK(differs.at("asked") == "takes_1_b");
    CHECK(differs.at("found").is_null());
    CHECK(programs.at(1).at("layers").at(0).at("layer") == program.cache_root().string());

    const auto text =
        program.run({"explain", "scripted", "--arch", "sm_90"}, kScript).standard_output;
    CHECK_THAT(text, Contains("scripted for sm_90: 1 of 2 programs hit") &&
                         Contains("no entry of that program") && Contains("takes_1_b"));
}

TEST_CASE("a miss names the nearest entry's difference", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    REQUIRE(program.run({"prewarm", "--arch", "sm_80"}, kScript).exit_code == 0);
    const auto answer = program.ask({"explain", "scripted/takes_1_a", "--arch", "9.0a"}, kScript);
    REQUIRE(answer.data().at("programs").size() == 1);
    const tools::Json& told = answer.data().at("programs").at(0);
    CHECK(told.at("target") == "sm_90");
    CHECK(told.at("differs").at(0).at("field") == "target");
    CHECK(told.at("differs").at(0).at("asked") == "sm_90");
    CHECK(told.at("differs").at(0).at("found") == "sm_80");
}

TEST_CASE("explain without --arch on a machine without a GPU goes by what the cache has",
          "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    CHECK(program.run({"explain", "scripted"}, kScript).exit_code == 9);
    REQUIRE(program.run({"prewarm", "--arch", "sm_80,sm_90"}, kScript).exit_code == 0);
    const auto answer = program.ask({"explain", "scripted"}, kScript);
    CHECK(answer.exit_code == 0);
    CHECK(answer.data().at("hits") == 4);
}

TEST_CASE("expecting all hits is a check", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const std::vector<std::string> check = {"explain", "scripted", "--arch", "sm_90",
                                            "--expect-all-hits"};
    const auto missing = program.ask(check, kScript);
    CHECK(missing.exit_code == 1);
    CHECK(missing.error_kind() == "CheckFailed");
    REQUIRE(program.run({"prewarm", "--arch", "sm_90"}, kScript).exit_code == 0);
    CHECK(program.run(check, kScript).exit_code == 0);
}

TEST_CASE("an op or a program that there is not is wrong usage", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    CHECK(program.run({"explain", "scripte", "--arch", "sm_90"}, kScript).exit_code == 2);
    CHECK(program.run({"explain", "scripted/none", "--arch", "sm_90"}, kScript).exit_code == 2);
    CHECK(program.run({"explain"}, kScript).exit_code == 2);
}

TEST_CASE("a device whose driver is too old for an entry is told so", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    REQUIRE(program.run({"prewarm", "--arch", "sm_77"}, kScript).exit_code == 0);
    Variables variables = kScript;
    variables.emplace_back("OPFORGE_CUDA_LIBRARY", FAKE_LIBCUDA);
    variables.emplace_back("FAKE_CUDA_VERSION", "12020");
    const auto answer = program.ask({"explain", "scripted", "--arch", "native"}, variables);
    CHECK(answer.data().at("hits") == 0);
    const tools::Json& differs = answer.data().at("programs").at(0).at("differs");
    REQUIRE(differs.size() == 1);
    CHECK(differs.at(0).at("field") == "driver");
    CHECK(differs.at(0).at("asked") == "12.2");
    CHECK(differs.at(0).at("found") == "13.0");
}

// The same op from a tree in which one header has changed; only one of its programs reaches it.
TEST_CASE("one changed header misses for exactly the programs that reach it, and is named",
          "[tools]") {
    const OpforgeProgram before(SCRIPTED_TOOL);
    const Variables two = {{"SCRIPTED_PROGRAMS", "takes_1_a plain_b"}};
    REQUIRE(before.run({"prewarm", "--arch", "sm_90"}, two).exit_code == 0);
    const OpforgeProgram after(CHANGED_TOOL);
    const auto answer = after.ask(
        {"explain", "scripted", "--arch", "sm_90", "--cache-dir", before.cache_root().string()},
        two);
    REQUIRE(answer.data().at("programs").size() == 2);
    const tools::Json& reaches = answer.data().at("programs").at(0);
    CHECK(reaches.at("hit") == false);
    REQUIRE(reaches.at("differs").size() == 1);
    CHECK(reaches.at("differs").at(0).at("field") == "header scale.cuh");
    CHECK(reaches.at("differs").at(0).at("text") == "header scale.cuh changed");
    const tools::Json& does_not = answer.data().at("programs").at(1);
    CHECK(does_not.at("program") == "plain_b");
    CHECK(does_not.at("hit") == true);
}

}  // namespace
}  // namespace opforge::test
