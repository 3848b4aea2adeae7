// The program as a whole: its help, its usage errors, its exit codes, its report.
#include "opforge_program.hpp"
#include "support/child_process.hpp"
#include "tensor_file_writers.hpp"

#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/runtime/op_table.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

TEST_CASE("help is instant, has its examples first, and reaches no cache and no driver",
          "[tools]") {
    const OpforgeProgram program;
    const auto start = std::chrono::steady_clock::now();
    const auto help = program.run({"--help"});
    const auto taken = std::chrono::steady_clock::now() - start;
    CHECK(help.exit_code == 0);
    CHECK_THAT(help.standard_output, StartsWith("opforge: CUDA kernels"));
    CHECK(help.standard_output.find("Examples:") < help.standard_output.find("Usage:"));
    for (const char* verb :
         {"demo", "quantize", "prewarm", "record", "explain", "report", "completion", "cache"}) {
        CHECK_THAT(help.standard_output, Contains(verb));
        const auto verb_help = program.run({verb, "--help"});
        CHECK(verb_help.exit_code == 0);
        CHECK_THAT(verb_help.standard_output, Contains("Examples:") && Contains("--json"));
        CHECK_THAT(verb_help.standard_output, !Contains("--stage"));
    }
    CHECK(std::filesystem::is_empty(program.folder()));
    // 20 ms is the aim; this bound only has to hold on a busy machine and under sanitizers.
    CHECK(taken < std::chrono::seconds(2));
}

TEST_CASE("help, the version and completion open no library of CUDA", "[tools]") {
    const OpforgeProgram program;
    const std::string driver = std::filesystem::path(FAKE_LIBCUDA).filename();
    // The loader's own account of what it opens, on standard error.
    const auto opened = [&](const std::vector<std::string>& arguments) {
        return program
            .run(arguments, {{"LD_DEBUG", "libs"}, {"OPFORGE_CUDA_LIBRARY", FAKE_LIBCUDA}})
            .standard_error;
    };
    if (opened({"report"}).find(driver) == std::string::npos) {
        WARN("SKIPPED: this loader has no LD_DEBUG");
        return;
    }
    for (const char* verb :
         {"demo", "quantize", "prewarm", "record", "explain", "report", "completion", "cache"}) {
        CHECK_THAT(opened({verb, "--help"}), !Contains(driver) && !Contains("libnvrtc"));
    }
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--help"},
                                                      {"--version"},
                                                      {"completion", "bash"},
                                                      {"quantise"}}) {
        CHECK_THAT(opened(arguments), !Contains(driver) && !Contains("libnvrtc"));
    }
}

TEST_CASE("the version names the build", "[tools]") {
    const OpforgeProgram program;
    CHECK_THAT(program.run({"--version"}).standard_output,
               StartsWith("opforge 0.") && Contains("CUDA headers 1"));
    CHECK(program.ask({"--version"}).data().at("version").is_string());
}

TEST_CASE("a usage error is exit code 2, says what was meant, and fits the envelope", "[tools]") {
    const OpforgeProgram program;
    const auto complaint = [&program](const std::vector<std::string>& arguments) {
        const auto result = program.run(arguments);
        CHECK(result.exit_code == 2);
        CHECK(result.standard_output.empty());
        return result.standard_error;
    };
    CHECK_THAT(complaint({}), Contains("a verb is missing"));
    CHECK_THAT(complaint({"quantise"}), Contains("did you mean \"quantize\"?"));
    CHECK_THAT(complaint({"cache", "verfy"}), Contains("did you mean \"verify\"?"));
    CHECK_THAT(complaint({"cache"}), Contains("list, show, stats, verify"));
    CHECK_THAT(complaint({"quantize", "x", "--bist", "4"}), Contains("did you mean \"--bits\"?"));
    CHECK_THAT(complaint({"quantize"}), Contains("FILE is required"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "four", "--groups", "1"}), Contains("--bits"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "4"}), Contains("--group-size"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "17", "--groups", "1"}), Contains("2 to 16"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "4", "--groups", "0"}), Contains("from 1"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "4", "--groups", "-2"}), Contains("from 1"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "4", "--groups", "1", "--seed", "3"}),
               Contains("--sr"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "4", "--groups", "1", "--sr", "--seed", "-1"}),
               Contains("--seed"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "0x4", "--groups", "1"}), Contains("0x4"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "4", "--groups", "1", "-o", ""}),
               Contains("--output") && Contains("empty"));
    CHECK_THAT(complaint({"report", "--cache-dir", ""}), Contains("empty"));
    CHECK_THAT(complaint({"prewarm", "--arch", ""}), Contains("--arch") && Contains("empty"));
    CHECK_THAT(complaint({"quantize", "x", "--bits", "4", "--groups", "1", "--device", "tpu"}),
               Contains("cuda:N"));
    CHECK_THAT(complaint({"report", "--log-level", "loud"}), Contains("warning"));
    CHECK_THAT(complaint({"report", "extra"}), Contains("unexpected argument \"extra\""));
    CHECK_THAT(complaint({"prewarm", "--arch", "sm_1x"}), Contains("sm_1x"));
    CHECK_THAT(complaint({"prewarm", "--arch", "sm_90", "--ops", "quantiser"}),
               Contains("quantizer"));
    CHECK_THAT(complaint({"prewarm", "--arch", "sm_90", "--policy", "lax"}), Contains("lax"));

    const auto answer = program.ask({"quantise"});
    CHECK(answer.exit_code == 2);
    CHECK(answer.error_kind() == "UsageError");
}

TEST_CASE("standard files that refuse or are closed neither end the program nor lose its exit code",
          "[tools]") {
    const TemporaryDirectory folder;
    const auto code = [](const std::string& arguments) {
        return run_program({"/bin/sh", "-c", std::string(OPFORGE_PROGRAM) + " " + arguments})
            .exit_code;
    };
    CHECK(code("quantise 2> /dev/full") == 2);
    CHECK(code("quantise 2>&-") == 2);
    CHECK(code("report > /dev/full 2> /dev/full") == 6);
    CHECK(code("report >&- 2>&-") == 6);
    // A warning must not land in the file that is being written.
    write_file(folder.path() / "in", safetensors_text({{"a", "F32", {1}, as_floats({1.0F})}}));
    const std::string in = (folder.path() / "in").string();
    const std::string out = (folder.path() / "out").string();
    CHECK(code("quantize " + in + " -o " + out + " --groups 1 --bits 16 <&- >&- 2>&-") == 6);
    CHECK(std::filesystem::file_size(out) == std::filesystem::file_size(in));
}

TEST_CASE("report says where nothing can be kept", "[tools]") {
    const OpforgeProgram program;
    const std::string file = (program.folder() / "file").string();
    write_file(file, "not a folder");
    const auto ask = [&program](const std::string& folder) {
        return program.ask({"report", "--cache-dir", folder}).data().at("cache").at("unusable");
    };
    CHECK_THAT(ask(file).get<std::string>(), Contains("not a folder"));
    CHECK_THAT(ask(file + "/below").get<std::string>(), Contains("not a folder"));
    CHECK(ask((program.folder() / "none" / "yet").string()).is_null());
    CHECK(std::filesystem::file_size(file) == 12);
}

TEST_CASE("options of every verb may stand before it or after it", "[tools]") {
    const OpforgeProgram program;
    CHECK(tools::Json::parse(program.run({"--json", "cache", "list"}).standard_output).is_object());
    CHECK(tools::Json::parse(program.run({"cache", "--json", "list"}).standard_output).is_object());
    CHECK(tools::Json::parse(program.run({"cache", "list", "--json"}).standard_output).is_object());
}

TEST_CASE("the report says what there is and why the rest is missing", "[tools]") {
    const OpforgeProgram program;
    const Variables variables = {{"OPFORGE_NVRTC_LIBRARY", "/nowhere/libnvrtc.so"},
                                 {"OPFORGE_TYPO", "1"}};
    const auto report = program.ask({"report"}, variables);
    CHECK(report.exit_code == 1);  // the one NVRTC that was named is not there
    CHECK(report.data().at("driver").at("available") == false);
    CHECK_THAT(report.data().at("driver").at("reason").get<std::string>(),
               Contains("no-driver.so"));
    CHECK(report.data().at("devices").empty());
    CHECK(report.data().at("cache").at("root") == program.cache_root().string());
    CHECK(report.data().at("cache").at("origin") == "HOME");
    REQUIRE(report.data().at("nvrtc").size() == 1);
    CHECK(report.data().at("nvrtc").at(0).at("taken") == false);
    CHECK_THAT(report.data().at("nvrtc").at(0).at("verdict").get<std::string>(),
               StartsWith("refused: "));
    CHECK(report.data().at("ops").at(0).at("name") == "quantizer");
    CHECK(report.data().at("ops").at(0).at("programs").size() ==
          builder::QuantizerBuilder().programs().size());
    CHECK(report.data().at("environment").at("OPFORGE_TYPO") == "1");
    CHECK_THAT(report.standard_error, Contains("OPFORGE_TYPO"));

    const auto text = program.run({"report"}, variables);
    CHECK(text.exit_code == 1);
    CHECK_THAT(text.standard_output,
               Contains("driver   none") && Contains("none usable") && Contains("/nowhere"));
    CHECK(std::filesystem::is_empty(program.folder()));
}

TEST_CASE("the report knows the devices of a driver, and refuses an NVRTC newer than it",
          "[tools]") {
    const OpforgeProgram program;
    const auto report = program.ask(
        {"report"}, {{"OPFORGE_CUDA_LIBRARY", FAKE_LIBCUDA}, {"FAKE_CUDA_VERSION", "12020"}});
    INFO(report.standard_error);
    const tools::Json& found = report.data().at("nvrtc");
    const bool served = std::any_of(found.begin(), found.end(), [](const tools::Json& candidate) {
        return candidate.at("taken") == true;
    });
    CHECK(report.exit_code == (served ? 0 : 1));
    CHECK(report.data().at("driver").at("version") == 12020);
    REQUIRE(report.data().at("devices").size() == 3);
    CHECK(report.data().at("devices").at(2).at("name") == "Fake");
    CHECK(report.data().at("devices").at(2).at("ordinal") == 2);
    CHECK(report.data().at("devices").at(2).at("architecture") == "sm_77");
    CHECK(report.data().at("ops").at(0).at("devices").size() == 3);
    for (const tools::Json& candidate : report.data().at("nvrtc")) {
        const std::string version = candidate.at("version").get<std::string>();
        if (candidate.at("usable") == true && version.starts_with("13.")) {
            CHECK(candidate.at("taken") == false);
            CHECK_THAT(candidate.at("verdict").get<std::string>(),
                       Contains("newer than the driver"));
        }
    }
}

TEST_CASE("the report lists every function of the op table, its programs and its devices",
          "[tools]") {
    const OpforgeProgram program;
    const Variables variables = {{"OPFORGE_CUDA_LIBRARY", FAKE_LIBCUDA}};
    const auto report = program.ask({"report"}, variables);
    const tools::Json& op = report.data().at("ops").at(0);
    const tools::Json& functions = op.at("functions");
    REQUIRE(functions.size() == runtime::op_table().size());
    const auto text = program.run({"report"}, variables).standard_output;
    for (std::size_t i = 0; i < functions.size(); ++i) {
        const runtime::OpInfo& expected = runtime::op_table()[i];
        INFO(expected.name);
        CHECK(functions.at(i).at("name") == expected.name);
        CHECK(functions.at(i).at("binding") == expected.binding);
        REQUIRE(functions.at(i).at("devices").size() == 3);
        for (std::size_t device = 0; device < 3; ++device) {
            for (const char* field : {"device", "compatible"}) {
                CHECK(functions.at(i).at("devices").at(device).at(field) ==
                      op.at("devices").at(device).at(field));
            }
        }
        CHECK(functions.at(i).at("programs").empty() == expected.is_enumeration());
        CHECK(functions.at(i).at("bits").empty() == expected.is_enumeration());
        std::string cell(" ");
        cell += expected.name;
        CHECK_THAT(text, Contains(cell += ' '));
    }
    CHECK(functions.at(0).at("programs") ==
          tools::Json{"ds_quantize_fp16_groups", "ds_quantize_fp16_block", "ds_quantize_fp16_any",
                      "ds_quantize_fp16_split", "ds_quantize_fp16_cluster", "ds_quantize_fp16_grid",
                      "ds_quantize_fp16_pairs", "ds_quantize_fp16_few"});
    CHECK(functions.at(9).at("bits") == tools::Json{2, 4, 8});
}

TEST_CASE("native is what the devices of this machine are", "[tools]") {
    const OpforgeProgram program;
    const auto answer =
        program.ask({"prewarm", "--policy", "offline"}, {{"OPFORGE_CUDA_LIBRARY", FAKE_LIBCUDA}});
    CHECK(answer.exit_code == 8);
    CHECK_THAT(answer.standard_error, Contains("sm_77"));
}

TEST_CASE("a result that cannot be printed is not a success", "[tools]") {
    const OpforgeProgram program;
    const auto result =
        tools::run_child({"/bin/sh", "-c", std::string(OPFORGE_PROGRAM) + " --help > /dev/full"});
    CHECK(result.exit_code == 6);
}

}  // namespace
}  // namespace opforge::test
