#include "opforge_program.hpp"

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

TEST_CASE("the demo compiles cold, hits warm, and leaves its entry and nothing else",
          "[tools][nvrtc]") {
    if (!nvrtc_here()) {
        return;
    }
    const OpforgeProgram program;
    const auto demo = program.ask({"demo"});
    INFO(demo.standard_error);
    REQUIRE(demo.exit_code == 0);
    const tools::Json& data = demo.data();
    CHECK(data.at("device") == "cpu");
    CHECK(data.at("target") == "sm_90");
    CHECK_THAT(data.at("program").get<std::string>(), StartsWith("ds_quantize_fp16"));
    CHECK_THAT(data.at("toolchain").get<std::string>(), Contains("nvrtc 1"));
    CHECK(data.at("cold").at("origin") == "compiled");
    CHECK(data.at("warm").at("origin") == "user_directory");
    CHECK(data.at("warm").at("seconds") < data.at("cold").at("seconds"));
    REQUIRE(data.at("quality").size() == 5);
    // Six decibels a bit: four bits are some 24 dB below eight.
    const double eight = data.at("quality").at(0).at("snr_db");
    const double four = data.at("quality").at(2).at("snr_db");
    CHECK(eight - four == Approx(24).margin(2));

    const std::filesystem::path entry = data.at("entry").get<std::string>();
    CHECK(std::filesystem::exists(entry / "kernels.cubin"));
    CHECK(program.ask({"cache", "list"}).data().at("entries").size() == 1);
    for (const auto& each : std::filesystem::directory_iterator(program.cache_root())) {
        CHECK_THAT(each.path().filename().string(), !Contains("demo-"));
    }
    const auto text = program.run({"demo", "--device", "cpu"});
    CHECK_THAT(text.standard_output, Contains("cold") && Contains("warm") &&
                                         Contains(entry.string()) && Contains("no-driver.so"));
}

TEST_CASE("the demo works from memory where no cache can be written", "[tools][nvrtc]") {
    if (!nvrtc_here()) {
        return;
    }
    const OpforgeProgram program;
    write_file(program.folder() / "file", "not a folder");
    const auto demo =
        program.ask({"demo"}, {{"OPFORGE_CACHE_DIR", (program.folder() / "file").string()}});
    INFO(demo.standard_error);
    CHECK(demo.exit_code == 0);
    CHECK(demo.data().at("entry") == "");
    CHECK(demo.data().at("warm").at("origin") == "user_directory");
}

TEST_CASE("the demo without an NVRTC says so, with its exit code", "[tools]") {
    const OpforgeProgram program;
    const auto demo = program.ask({"demo"}, {{"OPFORGE_NVRTC_LIBRARY", "/nowhere/libnvrtc.so"}});
    CHECK(demo.exit_code == 5);
    CHECK(demo.error_kind() == "ToolchainNotFound");
    CHECK_THAT(demo.standard_error, Contains("/nowhere/libnvrtc.so"));
    CHECK(program.ask({"demo", "--device", "cuda:0"}).exit_code == 9);
}

}  // namespace
}  // namespace opforge::test
