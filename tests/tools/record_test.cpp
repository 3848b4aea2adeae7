#include "opforge_program.hpp"

#include <catch2/catch.hpp>

#include <set>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

const Variables kScript = {{"SCRIPTED_PROGRAMS", "takes_1_a takes_1_b takes_1_c"},
                           {"OPFORGE_PROFILE", std::nullopt}};

std::set<std::string> entries(const OpforgeProgram::Answer& answer) {
    std::set<std::string> found;
    for (const tools::Json& entry : answer.data().at("entries")) {
        found.insert(entry.at("program").get<std::string>() + " " +
                     entry.at("target").get<std::string>());
    }
    return found;
}

TEST_CASE("record notes what a run asks for, and prewarm --profile builds exactly that",
          "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const std::string profile = program.folder() / "profile.jsonl";
    // Another cache: what is recorded does not depend on hits.
    const auto record =
        program.ask({"record", "-o", profile, "--json", "--", SCRIPTED_TOOL, "prewarm", "--arch",
                     "sm_90", "--ops", "scripted/takes_1_a,scripted/takes_1_c", "--cache-dir",
                     (program.folder() / "other").string()},
                    kScript);
    INFO(record.standard_error);
    CHECK(record.exit_code == 0);
    CHECK(record.data().at("programs") == 2);
    CHECK(record.data().at("new") == 2);

    const auto same = program.ask({"prewarm", "--profile", profile}, kScript);
    CHECK(same.exit_code == 0);
    CHECK(entries(same) == std::set<std::string>{"takes_1_a sm_90", "takes_1_c sm_90"});
    const auto others =
        program.ask({"prewarm", "--profile", profile, "--arch", "sm_80,sm_100"}, kScript);
    CHECK(entries(others) == std::set<std::string>{"takes_1_a sm_100", "takes_1_a sm_80",
                                                   "takes_1_c sm_100", "takes_1_c sm_80"});
}

TEST_CASE("any process records where OPFORGE_PROFILE says so, workers included, each thing once",
          "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const std::string profile = program.folder() / "profile.jsonl";
    Variables variables = {kScript.front(), {"OPFORGE_PROFILE", profile}};
    REQUIRE(program.run({"prewarm", "--arch", "sm_90", "-j", "2"}, variables).exit_code == 0);
    const std::string text = read_file(profile);
    CHECK(std::count(text.begin(), text.end(), '\n') == 3);
}

TEST_CASE("record passes on the command's output and exit code", "[tools]") {
    const OpforgeProgram program;
    const std::string profile = program.folder() / "profile.jsonl";
    const auto run = [&](const std::string& script) {
        return program.run({"record", "-o", profile, "--", "/bin/sh", "-c", script});
    };
    const auto result = run("echo said; exit 7");
    CHECK(result.exit_code == 7);
    CHECK(result.standard_output == "said\n");
    CHECK_THAT(result.standard_error, Contains("0 programs in"));
    CHECK(run("kill -9 $$").exit_code == 137);
    CHECK(program.run({"record", "-o", profile, "--", "/nowhere/program"}).exit_code == 127);
    CHECK(program.run({"record", "-o", profile}).exit_code == 2);
}

TEST_CASE("a file that is no profile is bad input, also to append to", "[tools]") {
    const OpforgeProgram program;
    const std::string file = program.folder() / "text";
    write_file(file, "some text\n");
    const auto prewarm = program.ask({"prewarm", "--profile", file});
    CHECK(prewarm.exit_code == 4);
    CHECK(prewarm.error_kind() == "InputError");
    CHECK_THAT(prewarm.standard_error, Contains("line 1"));
    CHECK(program.run({"record", "-o", file, "--", "/bin/true"}).exit_code == 4);
    CHECK(read_file(file) == "some text\n");
    CHECK(program.run({"prewarm", "--profile", "/nowhere/profile"}).exit_code == 4);
    CHECK(program.run({"prewarm", "--profile", file, "--ops", "quantizer"}).exit_code == 2);
}

}  // namespace
}  // namespace opforge::test
