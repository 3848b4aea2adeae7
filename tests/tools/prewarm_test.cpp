#include "opforge_program.hpp"

#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/runtime/op_table.hpp>
#include <opforge/runtime/quantizer_program.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

std::size_t program_count() {
    return builder::QuantizerBuilder().programs().size();
}

// For --ops: compiling all programs would take a minute.
std::string program_of_each_source() {
    std::set<std::string> sources;
    std::string list;
    for (const builder::ProgramSpec& spec : builder::QuantizerBuilder().programs()) {
        if (sources.insert(spec.source).second) {
            list += (list.empty() ? "quantizer/" : ",quantizer/") + spec.name;
        }
    }
    return list;
}

constexpr const char* kMissing = "/nowhere/libnvrtc.so";

TEST_CASE("prewarm compiles once, then hits, also without any NVRTC", "[tools][nvrtc]") {
    if (!nvrtc_here()) {
        return;
    }
    const OpforgeProgram program;
    const std::string ops = program_of_each_source();
    const std::size_t count = builder::QuantizerBuilder().sources().size();
    const auto first = program.ask({"prewarm", "--arch", "sm_90a,sm_90", "--ops", ops});
    INFO(first.standard_error);
    REQUIRE(first.exit_code == 0);
    // sm_90a is sm_90 for programs that do not want the suffix.
    CHECK(first.data().at("compiled") == count);
    CHECK(first.data().at("hits") == 0);
    CHECK(first.data().at("failed") == 0);
    CHECK(first.data().at("seconds").get<double>() > 0);
    REQUIRE(first.data().at("entries").size() == count);
    for (const tools::Json& entry : first.data().at("entries")) {
        CHECK(entry.at("target") == "sm_90");
        CHECK(entry.at("compiled") == true);
        const std::filesystem::path folder(entry.at("path").get<std::string>());
        CHECK(std::filesystem::file_size(folder / "kernels.cubin") ==
              entry.at("bytes").get<std::uintmax_t>());
        // NVRTC has nothing to say of our own sources.
        std::ifstream manifest(folder / "manifest.json");
        CHECK(tools::Json::parse(manifest).at("compile_log") == "");
    }

    const auto second = program.ask({"prewarm", "--ops", ops}, {{"OPFORGE_ARCH", "9.0"}});
    CHECK(second.exit_code == 0);
    CHECK(second.data().at("compiled") == 0);
    CHECK(second.data().at("hits") == count);

    const auto without =
        program.ask({"prewarm", "--policy", "compatible", "--ops", ops},
                    {{"TORCH_CUDA_ARCH_LIST", "9.0"}, {"OPFORGE_NVRTC_LIBRARY", kMissing}});
    CHECK(without.exit_code == 0);
    CHECK(without.data().at("hits") == count);

    const auto new_target = program.ask({"prewarm", "--arch", "sm_90,sm_80", "--ops", ops},
                                        {{"OPFORGE_NVRTC_LIBRARY", kMissing}});
    CHECK(new_target.exit_code == 5);
    CHECK(new_target.error_kind() == "ToolchainNotFound");
    CHECK(new_target.data().at("hits") == count);
    CHECK(new_target.data().at("failed") == count);
    CHECK_THAT(new_target.standard_error, Contains("sm_80") && Contains(kMissing));

    const auto offline =
        program.ask({"prewarm", "--arch", "sm_90,sm_80", "--ops", ops, "--policy", "offline"});
    CHECK(offline.exit_code == 8);
    CHECK(offline.error_kind() == "OfflineMiss");
    CHECK(offline.data().at("hits") == count);

    // Sealed, it serves as in a container that has neither an NVRTC nor a folder to write to.
    const std::string layer = program.cache_root();
    REQUIRE(program.ask({"cache", "seal", layer}).exit_code == 0);
    const auto verify = program.ask(
        {"cache", "verify", layer, "--expect-all-hits", "--arch", "sm_90", "--ops", ops});
    CHECK(verify.exit_code == 0);
    CHECK(verify.data().at("expected") == count);
    CHECK(verify.data().at("missing").empty());
    const auto layered =
        program.ask({"prewarm", "--arch", "sm_90", "--ops", ops, "--policy", "offline"},
                    {{"OPFORGE_LAYERS", layer},
                     {"OPFORGE_NVRTC_LIBRARY", kMissing},
                     {"OPFORGE_CACHE_DIR", "/proc/none"}});
    CHECK(layered.exit_code == 0);
    CHECK(layered.data().at("hits") == count);
}

TEST_CASE("prewarm without an NVRTC and without entries says where it looked", "[tools]") {
    const OpforgeProgram program;
    const auto answer =
        program.ask({"prewarm", "--arch", "sm_90"}, {{"OPFORGE_NVRTC_LIBRARY", kMissing}});
    CHECK(answer.exit_code == 5);
    CHECK(answer.data().at("failed") == program_count());
    CHECK(answer.data().at("entries").empty());
    CHECK_THAT(answer.standard_error, Contains(kMissing));
}

TEST_CASE("prewarm goes through the programs of every op", "[tools]") {
    const OpforgeProgram program;
    const auto answer = program.ask({"prewarm", "--arch", "sm_90", "--policy", "offline"});
    std::vector<std::string> missed;  // all: the cache is empty
    for (const tools::Json& failure : answer.data().at("failures")) {
        CHECK(failure.at("kind") == "OfflineMiss");
        CHECK(failure.at("error") == 0);
        missed.push_back(failure.at("program").get<std::string>());
    }
    CHECK(answer.json.at("errors").size() == 1);  // all miss for one reason
    for (const runtime::OpInfo& op : runtime::op_table()) {
        for (const std::string_view function : op.functions) {
            INFO(op.name << ": " << function);
            CHECK(std::any_of(missed.begin(), missed.end(), [&](const std::string& each) {
                return runtime::is_program_of(function, each);
            }));
        }
    }
    std::vector<std::string> variants;  // what calls ask for
    for (const auto& variant : runtime::FakeQuantizeVariant::all()) {
        variants.push_back(variant.program());
    }
    for (const auto& variant : runtime::CodesVariant::all()) {
        variants.push_back(variant.program());
    }
    std::sort(missed.begin(), missed.end());
    std::sort(variants.begin(), variants.end());
    CHECK(missed == variants);
}

TEST_CASE("an offline miss prints the command that serves it", "[tools][nvrtc]") {
    if (!nvrtc_here()) {
        return;
    }
    const OpforgeProgram program(OWN_TOOL);
    const std::string folder = program.folder() / "a cache's folder";
    const std::vector<std::string> asked = {"prewarm", "--arch",      "sm_90", "--ops",
                                            "scale",   "--cache-dir", folder};
    const Variables offline = {{"OPFORGE_POLICY", "offline"}};
    const auto miss = program.ask(asked, offline);
    CHECK(miss.exit_code == 8);
    const std::string text = miss.json.at("errors").at(0).at("message").get<std::string>();
    const std::size_t begin = text.find('`') + 1;
    const std::string command = text.substr(begin, text.rfind('`') - begin);
    INFO(command);
    CHECK_THAT(command, Contains("--arch sm_90 --ops scale") && Contains("--cache-dir"));
    // In a shell, also where the environment says offline.
    Variables variables = offline;
    variables.emplace_back("HOME", program.folder().string());
    CHECK(tools::run_child({"/bin/sh", "-c", command}, variables).exit_code == 0);
    CHECK(program.ask(asked, offline).data().at("hits") == 2);
}

TEST_CASE("a misspelt OPFORGE_POLICY is wrong usage, told once", "[tools]") {
    const OpforgeProgram program;
    const auto answer = program.ask({"prewarm", "--arch", "sm_90"}, {{"OPFORGE_POLICY", "lax"}});
    CHECK(answer.exit_code == 2);
    CHECK(answer.error_kind() == "InvalidArgument");
    CHECK(answer.json.at("errors").size() == 1);
}

TEST_CASE("an option after --arch is not taken for its list", "[tools]") {
    const OpforgeProgram program;
    const auto answer = program.ask({"prewarm", "--arch"});
    CHECK(answer.exit_code == 2);
    CHECK(answer.error_kind() == "UsageError");
    CHECK_THAT(answer.standard_error, Contains("--json is an option"));
}

TEST_CASE("an architecture that no NVRTC knows is told once for all programs", "[tools][nvrtc]") {
    if (!nvrtc_here()) {
        return;
    }
    const OpforgeProgram program;
    const auto answer = program.ask({"prewarm", "--arch", "sm_999"});
    CHECK(answer.exit_code == 5);
    CHECK(answer.data().at("failed") == program_count());
    CHECK(answer.json.at("errors").size() == 1);
    CHECK_THAT(answer.standard_error, Contains("does not know sm_999"));
}

TEST_CASE("prewarm needs a GPU only for native", "[tools]") {
    const OpforgeProgram program;
    const auto answer = program.ask({"prewarm"});
    CHECK(answer.exit_code == 9);
    CHECK(answer.error_kind() == "NoDevice");
    CHECK_THAT(answer.standard_error, Contains("--arch sm_90"));
}

TEST_CASE("prewarm into a folder that refuses is exit code 6", "[tools][nvrtc]") {
    if (!nvrtc_here()) {
        return;
    }
    const OpforgeProgram program;
    write_file(program.folder() / "file", "not a folder");
    const auto answer = program.ask(
        {"prewarm", "--arch", "sm_90", "--cache-dir", (program.folder() / "file").string()});
    CHECK(answer.exit_code == 6);
    CHECK(answer.error_kind() == "CacheError");
    CHECK(answer.data().at("failed") == program_count());
    CHECK(answer.data().at("entries").empty());
    CHECK(read_file(program.folder() / "file") == "not a folder");
}

}  // namespace
}  // namespace opforge::test
