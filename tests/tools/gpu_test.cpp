// The verbs on a real GPU: what they write and what they say must be the host's.
#include "opforge_program.hpp"
#include "tensor_file_writers.hpp"

#include <opforge/driver/device.hpp>

#include <catch2/catch.hpp>

#include <iostream>

namespace opforge::test {
namespace {

bool gpu_here() {
    const driver::DriverState& state = driver::driver_state();
    if (state.api != nullptr && driver::device_count(*state.api) > 0) {
        return true;
    }
    std::cout << "SKIPPED: no GPU: " << state.reason << "\n";
    return false;
}

// The program's controlled environment hides the driver; here it is wanted.
const Variables kWithDriver = {{"OPFORGE_CUDA_LIBRARY", std::nullopt}};

TEST_CASE("quantize writes the same file on the GPU as on the host", "[tools][gpu]") {
    if (!gpu_here()) {
        return;
    }
    const OpforgeProgram program;
    const std::string input = program.folder() / "model.safetensors";
    std::string bfloat16;
    const std::string floats = as_floats(sample_values(3 * 640));
    for (std::size_t i = 0; i < floats.size(); i += 4) {
        bfloat16 += floats.substr(i + 2, 2);
    }
    write_file(input,
               safetensors_text({{"ids", "U8", {3}, "abc"},
                                 {"half", "F16", {300, 640}, as_halves(sample_values(192'000))},
                                 {"float", "F32", {5, 64}, as_floats(sample_values(320))},
                                 {"bfloat", "BF16", {3, 640}, bfloat16}}));
    const std::vector<std::vector<std::string>> flags = {
        {}, {"--asym"}, {"--sr", "--seed", "5"}, {"--asym", "--sr"}};
    for (const auto& chosen : flags) {
        std::vector<std::string> arguments = {"quantize", input,    "--group-size",
                                              "64",       "--bits", "4"};
        arguments.insert(arguments.end(), chosen.begin(), chosen.end());
        const auto on = [&](const std::string& device) {
            std::vector<std::string> words = arguments;
            const std::string output = program.folder() / "out";
            words.insert(words.end(), {"--device", device, "-o", output});
            auto answer = program.ask(words, kWithDriver);
            INFO(answer.standard_error);
            REQUIRE(answer.exit_code == 0);
            for (const tools::Json& tensor : answer.data().at("tensors")) {
                CHECK(tensor.at("seconds").get<double>() > 0);
                CHECK(tensor.at("memory_speed").get<double>() > 0);
            }
            return std::pair(read_file(output), answer.data().at("totals").at("snr_db"));
        };
        CHECK(on("cuda:0") == on("cpu"));
    }
}

TEST_CASE("a GPU that is not there is exit code 9 also where others are", "[tools][gpu]") {
    if (!gpu_here()) {
        return;
    }
    const OpforgeProgram program;
    const std::string input = program.folder() / "model.safetensors";
    write_file(input, safetensors_text({{"a", "F32", {4}, as_floats(sample_values(4))}}));
    const auto answer = program.ask(
        {"quantize", input, "--groups", "1", "--bits", "4", "--device", "cuda:99"}, kWithDriver);
    CHECK(answer.exit_code == 9);
}

TEST_CASE("the demo runs on the GPU and agrees with the host", "[tools][gpu]") {
    if (!gpu_here()) {
        return;
    }
    const OpforgeProgram program;
    const auto demo = program.ask({"demo"}, kWithDriver);
    INFO(demo.standard_error);
    REQUIRE(demo.exit_code == 0);
    CHECK(demo.data().at("device") == "cuda:0");
    CHECK(demo.data().at("cold").at("origin") == "compiled");
    CHECK(demo.data().at("warm").at("origin") == "user_directory");
    for (const tools::Json& row : demo.data().at("quality")) {
        CHECK(row.at("equals_host") == true);
    }
}

TEST_CASE("the report knows the GPU", "[tools][gpu]") {
    if (!gpu_here()) {
        return;
    }
    const OpforgeProgram program;
    const auto report = program.ask({"report"}, kWithDriver);
    REQUIRE(report.exit_code == 0);
    CHECK(report.data().at("driver").at("available") == true);
    CHECK(report.data().at("devices").at(0).at("memory_bytes").get<std::uint64_t>() >
          1'000'000'000);
    CHECK(report.data().at("ops").at(0).at("devices").at(0).at("compatible") == true);
}

}  // namespace
}  // namespace opforge::test
