// Prewarm's worker processes: on a scripted op, which needs no NVRTC.
#include "opforge_program.hpp"
#include "support/terminal.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

std::string programs(int count, const std::string& kind) {
    std::string list;
    for (int i = 0; i < count; ++i) {
        list += kind;
        list += std::to_string(i);
        list += ' ';
    }
    return list;
}

std::size_t entries_below(const std::filesystem::path& root) {
    std::size_t count = 0;
    for (const auto& file : std::filesystem::recursive_directory_iterator(root / "v1/entries")) {
        count += file.path().filename() == "manifest.json" ? 1 : 0;
    }
    return count;
}

// Half-written entries; the notes of who compiles what are files.
std::size_t staged_below(const std::filesystem::path& root) {
    std::size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(root / "v1/tmp")) {
        count += file.is_directory() ? 1 : 0;
    }
    return count;
}

TEST_CASE("a worker that dies is reported with its last words, and the rest goes on", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const auto answer =
        program.ask({"prewarm", "--arch", "sm_90", "-j", "2"},
                    {{"SCRIPTED_PROGRAMS", "takes_1_a dies_b takes_1_c dies_d takes_1_e"}});
    CHECK(answer.exit_code == 3);
    CHECK(answer.data().at("compiled") == 3);
    CHECK(answer.data().at("failed") == 2);
    CHECK(answer.data().at("workers") == 2);
    // Both for one reason: told once, with both in `failures`.
    REQUIRE(answer.json.at("errors").size() == 1);
    CHECK(answer.error_kind() == "WorkerDied");
    CHECK_THAT(answer.standard_error, Contains("scripted/dies_b and 1 more for sm_90") &&
                                          Contains("signal 6") &&
                                          Contains("the last words of a worker"));
    REQUIRE(answer.data().at("failures").size() == 2);
    CHECK(answer.data().at("failures").at(1).at("program") == "dies_d");
    CHECK(answer.data().at("failures").at(1).at("error") == 0);
}

TEST_CASE("a program that fails to compile is reported with its log, and the rest goes on",
          "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const auto answer = program.ask({"prewarm", "--arch", "sm_90", "-j", "1"},
                                    {{"SCRIPTED_PROGRAMS", "fails_a takes_1_b"}});
    CHECK(answer.exit_code == 3);
    CHECK(answer.error_kind() == "CompileError");
    CHECK_THAT(answer.standard_error, Contains("fails_a.cu(3): error: so it is written"));
    CHECK(answer.data().at("compiled") == 1);
}

TEST_CASE("OP/PROGRAM is one program, and an unknown one is wrong usage", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const Variables variables = {{"SCRIPTED_PROGRAMS", "takes_1_a takes_1_b"}};
    const auto one =
        program.ask({"prewarm", "--arch", "sm_90", "--ops", "scripted/takes_1_b"}, variables);
    CHECK(one.exit_code == 0);
    REQUIRE(one.data().at("entries").size() == 1);
    CHECK(one.data().at("entries").at(0).at("program") == "takes_1_b");
    const auto none = program.run({"prewarm", "--arch", "sm_90", "--ops", "scripted/c"}, variables);
    CHECK(none.exit_code == 2);
    CHECK_THAT(none.standard_error, Contains("has no program \"c\""));
}

TEST_CASE("what was recorded to take longest is compiled first", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    Variables variables = {{"SCRIPTED_PROGRAMS", "takes_1_a takes_60_b takes_20_c"}};
    const auto started = [&] {
        const auto result =
            program.run({"prewarm", "--arch", "sm_80", "-j", "1", "--json-stream"}, variables);
        std::vector<std::string> names;
        std::istringstream lines(result.standard_output);
        for (std::string line; std::getline(lines, line);) {
            const tools::Json event = tools::Json::parse(line);
            if (event.at("event") == "started") {
                names.push_back(event.at("program").get<std::string>());
            }
        }
        return names;
    };
    SECTION("nothing is recorded: in the op's order") {
        CHECK(started() == std::vector<std::string>{"takes_1_a", "takes_60_b", "takes_20_c"});
    }
    SECTION("in the cache, for another target") {
        REQUIRE(program.run({"prewarm", "--arch", "sm_90"}, variables).exit_code == 0);
        CHECK(started() == std::vector<std::string>{"takes_60_b", "takes_20_c", "takes_1_a"});
    }
    SECTION("in a layer") {
        const std::string layer = program.folder() / "layer";
        REQUIRE(program.run({"prewarm", "--arch", "sm_90", "--cache-dir", layer}, variables)
                    .exit_code == 0);
        variables.emplace_back("OPFORGE_LAYERS", layer);
        CHECK(started() == std::vector<std::string>{"takes_60_b", "takes_20_c", "takes_1_a"});
    }
}

TEST_CASE("the number of workers is the option's, else the environment's", "[tools]") {
    const auto workers = [](const std::vector<std::string>& options, const Variables& more) {
        const OpforgeProgram program(SCRIPTED_TOOL);
        std::vector<std::string> arguments = {"prewarm", "--arch", "sm_90"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        Variables variables = {{"SCRIPTED_PROGRAMS", programs(8, "takes_1_")},
                               {"OPFORGE_JOBS", std::nullopt},
                               {"MAX_JOBS", std::nullopt}};
        for (const auto& each : more) {
            std::erase_if(variables, [&](const auto& one) { return one.first == each.first; });
            variables.push_back(each);
        }
        const auto answer = program.ask(arguments, variables);
        return answer.exit_code == 0 ? answer.data().at("workers").get<int>() : -answer.exit_code;
    };
    CHECK(workers({"-j", "3"}, {{"OPFORGE_JOBS", "2"}}) == 3);
    CHECK(workers({}, {{"OPFORGE_JOBS", "2"}, {"MAX_JOBS", "4"}}) == 2);
    CHECK(workers({}, {{"MAX_JOBS", "4"}}) == 4);
    CHECK(workers({"-j", "99"}, {}) == 8);  // no more than there is to do
    CHECK(workers({}, {}) >= 1);
    CHECK(workers({}, {{"MAX_JOBS", "many"}}) == -2);
    CHECK(workers({"-j", "0"}, {}) == -2);
}

TEST_CASE("the stream tells each program's begin and end, and the result last", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const Variables variables = {{"SCRIPTED_PROGRAMS", "takes_1_a fails_b"}};
    const auto result = program.run({"prewarm", "--arch", "sm_90", "--json-stream"}, variables);
    CHECK(result.exit_code == 3);
    std::vector<std::string> seen;
    tools::Json last;
    std::istringstream lines(result.standard_output);
    for (std::string line; std::getline(lines, line);) {
        last = tools::Json::parse(line);
        const std::string event = last.at("event").get<std::string>();
        if (event == "started" || event == "done") {
            std::string text = event;
            for (const char* field : {"program", "result"}) {
                text += last.contains(field) ? ' ' + last.at(field).get<std::string>() : "";
            }
            seen.push_back(text);
            CHECK(last.at("total") == 2);
        }
    }
    std::sort(seen.begin(), seen.end());
    CHECK(seen == std::vector<std::string>{"done fails_b failed", "done takes_1_a compiled",
                                           "started fails_b", "started takes_1_a"});
    CHECK(last.at("event") == "result");
    CHECK(last.at("schema") == 1);
    CHECK(last.at("ok") == false);
    CHECK(last.at("data").at("compiled") == 1);
    CHECK(last.at("errors").at(0).at("kind") == "CompileError");

    const auto usage = program.run({"prewarm", "--json-stream", "--arch"}, variables);
    CHECK(usage.exit_code == 2);
    CHECK(tools::Json::parse(usage.standard_output).at("event") == "result");
}

TEST_CASE("progress as JSON goes to standard error beside the ordinary result", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    const auto answer = program.ask({"prewarm", "--arch", "sm_90", "--progress", "json"},
                                    {{"SCRIPTED_PROGRAMS", "takes_1_a"}});
    CHECK(answer.data().at("compiled") == 1);
    CHECK_THAT(answer.standard_error, Contains("{\"event\":\"started\""));
    CHECK(program.run({"prewarm", "--arch", "sm_90", "--progress", "loud"}).exit_code == 2);
}

// A run on a terminal: its environment is that of OpforgeProgram.
Terminal on_terminal(const OpforgeProgram& program, const std::vector<std::string>& options,
                     const std::string& list, unsigned short columns = 100) {
    std::vector<std::string> arguments = {SCRIPTED_TOOL, "prewarm", "--arch", "sm_90"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return {arguments,
            {"SCRIPTED_PROGRAMS=" + list, "HOME=" + program.folder().string(), "TERM=xterm",
             "CI=", "OPFORGE_CACHE_DIR=", "XDG_CACHE_HOME=", "OPFORGE_POLICY="},
            columns};
}

TEST_CASE("a terminal gets one bar with what is done, what runs and the time left", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    REQUIRE(program
                .run({"prewarm", "--arch", "sm_90", "--ops", "scripted/takes_300_0"},
                     {{"SCRIPTED_PROGRAMS", "takes_300_0"}})
                .exit_code == 0);
    Terminal terminal = on_terminal(program, {"-j", "2"}, programs(12, "takes_300_"));
    CHECK(terminal.wait_for("1 hit"));
    terminal.resize(50);
    CHECK(terminal.wait() == 0);
    const std::string& output = terminal.output();
    INFO(output);
    CHECK_THAT(output, Contains("/12  1 hit  takes_300_") && Contains("sm_90 +1") &&
                           Contains(" s left") && Contains("11 compiled, 1 already there"));
    // One line drawn over itself: nothing but the final summary ends a line.
    CHECK(std::count(output.begin(), output.end(), '\n') == 1);
    CHECK_THAT(output, Contains("\r\x1b[J"));
}

TEST_CASE("a run of less than a second shows nothing but its result", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    Terminal terminal = on_terminal(program, {"-j", "2"}, "takes_1_a takes_1_b");
    CHECK(terminal.wait() == 0);
    if (terminal.output().find("[") != std::string::npos) {
        WARN("the machine took more than a second: " << terminal.output());
    } else {
        CHECK(terminal.output().find("2 compiled") == 0);
    }
}

TEST_CASE("Ctrl-C keeps what is done, says how to go on, and the next run does", "[tools]") {
    const OpforgeProgram program(SCRIPTED_TOOL);
    // Two workers: one is held up by a program that never ends, and then the other, too.
    const std::string list = "takes_600000_x takes_1_0 takes_1_1 takes_1_2 takes_600000_y";
    Terminal terminal = on_terminal(program, {"-j", "2"}, list);
    CHECK(terminal.wait_for("3/5"));
    terminal.press("\x03");
    CHECK(terminal.wait() == 130);
    INFO(terminal.output());
    CHECK_THAT(terminal.output(), Contains("interrupted;") && Contains("are done and kept in") &&
                                      Contains("prewarm --arch sm_90 -j 2"));
    const std::size_t kept = entries_below(program.cache_root());
    CHECK(kept > 0);
    CHECK(staged_below(program.cache_root()) == 0);

    // The same programs, now quick ones beside: what was kept is found.
    const auto again =
        program.ask({"prewarm", "--arch", "sm_90"},
                    {{"SCRIPTED_PROGRAMS", "takes_1_0 takes_1_1 takes_1_2 takes_1_x"}});
    CHECK(again.exit_code == 0);
    CHECK(again.data().at("hits") == kept);
    CHECK(again.data().at("compiled") == 4 - kept);
}

}  // namespace
}  // namespace opforge::test
