#include "opforge_program.hpp"
#include "tensor_file_writers.hpp"

#include <quantize_file.hpp>

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;

std::string small_model() {
    return safetensors_text({{"layer.weight", "F16", {4, 16}, as_halves(sample_values(64))},
                             {"layer.bias", "F32", {16}, as_floats(sample_values(16))},
                             {"ids", "I32", {2}, "12345678"}},
                            {{"format", "pt"}});
}

TEST_CASE("quantize reports each tensor, names the skipped, and writes what the library gives",
          "[tools]") {
    const OpforgeProgram program;
    const std::string input = program.folder() / "model.safetensors";
    const std::string output = program.folder() / "out.safetensors";
    write_file(input, small_model());
    const auto answer = program.ask({"quantize", input, "-o", output, "--group-size", "16",
                                     "--bits", "5", "--asym", "--sr", "--seed", "9"});
    INFO(answer.standard_error);
    REQUIRE(answer.exit_code == 0);
    CHECK(answer.standard_error.empty());
    const tools::Json& data = answer.data();
    REQUIRE(data.at("tensors").size() == 2);
    const tools::Json& weight = data.at("tensors").at(0);
    CHECK(weight.at("name") == "layer.weight");
    CHECK(weight.at("dtype") == "F16");
    CHECK(weight.at("shape") == tools::Json({4, 16}));
    CHECK(weight.at("groups") == 4);
    CHECK(weight.at("snr_db").get<double>() > 15);
    CHECK(weight.at("worst_error").get<double>() > 0);
    CHECK(weight.at("seconds").get<double>() > 0);
    CHECK(weight.at("memory_speed").get<double>() > 0);
    CHECK(data.at("tensors").at(1).at("random_offset") == 64);
    REQUIRE(data.at("skipped").size() == 1);
    CHECK_THAT(data.at("skipped").at(0).at("reason").get<std::string>(), Contains("I32"));
    CHECK(data.at("totals").at("quantized") == 2);

    tools::QuantizeSettings settings;
    settings.input = input;
    settings.output = program.folder() / "expected";
    settings.group_size = 16;
    settings.bits = 5;
    settings.asymmetric = true;
    settings.stochastic = true;
    settings.seed = 9;
    static_cast<void>(tools::quantize_file(settings));
    CHECK(read_file(output) == read_file(*settings.output));
    CHECK_FALSE(std::filesystem::exists(program.cache_root()));

    const auto text = program.run({"quantize", input, "--group-size", "16", "--bits", "8"});
    CHECK_THAT(text.standard_output, Contains("layer.weight") && Contains("SNR dB") &&
                                         Contains("skipped ids: dtype I32") &&
                                         Contains("total: 2 quantized"));
}

TEST_CASE("bad input is exit code 4, a refused output 6, a missing GPU 9, and nothing is written",
          "[tools]") {
    const OpforgeProgram program;
    const std::string good = program.folder() / "model.safetensors";
    const std::string output = program.folder() / "out";
    write_file(good, small_model());
    const auto ask = [&](const std::string& input, const std::string& out,
                         const std::string& device) {
        return program.ask({"quantize", input, "-o", out, "--group-size", "16", "--bits", "4",
                            "--device", device});
    };
    const auto missing = ask(program.folder() / "none.npy", output, "cpu");
    CHECK(missing.exit_code == 4);
    CHECK(missing.error_kind() == "InputError");
    CHECK_THAT(missing.standard_error, Contains("none.npy: No such file"));

    write_file(program.folder() / "cut.safetensors", small_model().substr(0, 150));
    CHECK(ask(program.folder() / "cut.safetensors", output, "cpu").exit_code == 4);

    const auto refused = ask(good, program.folder() / "none" / "out", "cpu");
    CHECK(refused.exit_code == 6);
    CHECK(refused.error_kind() == "OutputError");

    const auto no_gpu = ask(good, output, "cuda:0");
    CHECK(no_gpu.exit_code == 9);
    CHECK(no_gpu.error_kind() == "NoDevice");
    CHECK_FALSE(std::filesystem::exists(output));
    CHECK(std::distance(std::filesystem::directory_iterator(program.folder()),
                        std::filesystem::directory_iterator()) == 2);
}

TEST_CASE("a name with terminal commands in it is spelt out", "[tools]") {
    const OpforgeProgram program;
    const std::string input = program.folder() / "model.safetensors";
    write_file(input, safetensors_text({{"\x1b[2Jevil", "F32", {1}, as_floats({1.0F})}}));
    const auto result = program.run({"quantize", input, "--groups", "1", "--bits", "8"});
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.standard_output, Contains("\\x1b[2Jevil") && !Contains("\x1b"));
}

}  // namespace
}  // namespace opforge::test
