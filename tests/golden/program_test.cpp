// opforge-golden from its arguments to its exit code, over vectors that the oracle made.
#include "golden/ops.hpp"
#include "golden/program.hpp"
#include "golden/vectors.hpp"
#include "support/golden_directories.hpp"
#include "support/oracle.hpp"
#include "support/temporary_directory.hpp"

#include <opforge/driver/driver_api.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace golden = opforge::golden;
namespace oracle = opforge::test::oracle;
namespace fs = std::filesystem;
using nlohmann::json;
using opforge::Bytes;
using opforge::test::TemporaryDirectory;
using opforge::test::write_file;

namespace {

using Catch::Matchers::Contains;

struct Run {
    int exit_code = -1;
    std::string out;
    std::string err;
};

Run run(std::initializer_list<std::string> arguments) {
    std::vector<const char*> argv = {"opforge-golden"};
    for (const std::string& argument : arguments) {
        argv.push_back(argument.c_str());
    }
    std::ostringstream out;
    std::ostringstream err;
    const int exit_code = golden::run_program(static_cast<int>(argv.size()), argv.data(), out, err);
    return {exit_code, out.str(), err.str()};
}

// A directory of vectors in the making.
class Maker {
public:
    json add_tensor(const Bytes& bytes, const std::string& dtype,
                    const std::vector<std::int64_t>& shape) {
        tensors_.resize((tensors_.size() + 15) / 16 * 16);
        json tensor = {{"offset", tensors_.size()},
                       {"bytes", bytes.size()},
                       {"dtype", dtype},
                       {"shape", shape}};
        tensors_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return tensor;
    }
    /// A fake quantization of twelve values in two dimensions.
    json& add_quantization(const std::string& dtype, oracle::Element element,
                           const oracle::Settings& settings) {
        std::vector<float> values(12);
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<float>(i * i) * 0.07F - 2.0F;
        }
        values[1] = settings.bits == 16 ? HUGE_VALF : values[1];
        const Bytes input = oracle::encode(element, values);
        json one = {{"op", "ds_quantizer"},        {"groups", settings.groups},
                    {"bits", settings.bits},       {"sr", settings.stochastic},
                    {"asym", settings.asymmetric}, {"seed", settings.seed},
                    {"offset", settings.offset}};
        one["inputs"]["input"] = add_tensor(input, dtype, {3, 4});
        one["expected"]["output"] =
            add_tensor(oracle::fake_quantize(element, input, settings), dtype, {3, 4});
        cases_.push_back(std::move(one));
        return cases_.back();
    }
    void add(json one) { cases_.push_back(std::move(one)); }
    void write(const fs::path& directory) const {
        write_file(directory / "reference.json",
                   json{{"source", "the oracle"}, {"cases", cases_}}.dump());
        write_file(directory / "reference.bin", tensors_);
    }

private:
    json cases_ = json::array();
    std::string tensors_;
};

Maker usual_cases() {
    Maker maker;
    maker.add_quantization("float16", oracle::Element::fp16, {.groups = 3, .bits = 4});
    maker.add({{"op", "transpose"}, {"bits", 8}});
    maker.add_quantization("bfloat16", oracle::Element::bf16,
                           {.groups = 2, .bits = 16, .asymmetric = true});
    maker.add_quantization(
        "float32", oracle::Element::fp32,
        {.groups = 1, .bits = 3, .stochastic = true, .seed = 1ULL << 63U, .offset = 1ULL << 40U});
    return maker;
}

void check_reference_vectors(const std::string& device) {
    const auto directories = opforge::test::golden_directories();
    if (directories.empty()) {
        std::cout << "SKIPPED: no reference vectors (OPFORGE_GOLDEN_DIR)\n";
    }
    for (const fs::path& vectors : directories) {
        const Run got = run({"--device", device, vectors.string()});
        INFO(got.out << got.err);
        CHECK(got.exit_code == 0);
        std::istringstream lines(got.out);
        std::string op;
        std::getline(lines, op);  // the heading
        std::size_t cases = 0;
        std::size_t exact = 0;
        std::string rest;
        while (lines >> op >> cases >> exact) {
            CHECK(exact == cases);
            std::getline(lines, rest);
        }
        CHECK(cases > 0);
    }
}

TEST_CASE("results that cannot be written are a failure of their own", "[golden]") {
    std::ostringstream out;
    out.setstate(std::ios::badbit);
    std::ostringstream err;
    const std::vector<const char*> argv = {"opforge-golden", "--help"};
    CHECK(golden::run_program(static_cast<int>(argv.size()), argv.data(), out, err) == 6);
    CHECK_THAT(err.str(), Contains("cannot be written"));
}

}  // namespace

TEST_CASE("exact vectors are counted by op and end with 0", "[golden]") {
    const TemporaryDirectory directory;
    usual_cases().write(directory.path());
    const Run got = run({directory.path().string()});
    INFO(got.out << got.err);
    CHECK(got.exit_code == 0);
    CHECK_THAT(
        got.out,
        Contains("ds_quantizer                                   3       3       0       0\n"));
    CHECK_THAT(
        got.out,
        Contains("transpose                                      1       0       0       1\n"));
    CHECK(got.err.empty());
}

TEST_CASE("a wrong expectation is listed with its place and ends with 1", "[golden]") {
    const TemporaryDirectory directory;
    Maker maker = usual_cases();
    json& wrong =
        maker.add_quantization("float32", oracle::Element::fp32, {.groups = 1, .bits = 5});
    wrong["bits"] = 6;
    maker.write(directory.path());
    const Run got = run({"--device", "cpu", directory.path().string()});
    CHECK(got.exit_code == 1);
    CHECK_THAT(got.out, Contains("4       3       1       0"));
    CHECK_THAT(got.out, Contains("FAILED case 4 ds_quantizer") && Contains("\"bits\":6") &&
                            Contains("output[2]: expected 0x") && Contains("got 0x"));
}

TEST_CASE("a missing output, another shape, and a refusal by the library are failures",
          "[golden]") {
    const TemporaryDirectory directory;
    Maker maker;
    json& extra =
        maker.add_quantization("float32", oracle::Element::fp32, {.groups = 1, .bits = 5});
    extra["expected"]["params"] = extra["expected"]["output"];
    json& flat = maker.add_quantization("float32", oracle::Element::fp32, {.groups = 1, .bits = 5});
    flat["expected"]["output"]["shape"] = {12};
    maker.add_quantization("float32", oracle::Element::fp32, {.groups = 1, .bits = 5})["bits"] = 1;
    maker.write(directory.path());
    const Run got = run({directory.path().string()});
    CHECK(got.exit_code == 1);
    CHECK_THAT(got.out, Contains("params: missing") &&
                            Contains("expected float32 [12], got float32 [3, 4]") &&
                            Contains("InvalidArgument"));
}

TEST_CASE("a dump holds the outputs in the order of the cases, and reads as vectors", "[golden]") {
    const TemporaryDirectory directory;
    const fs::path out = directory.path() / "out";
    usual_cases().write(directory.path());
    REQUIRE(run({"--dump", out.string(), directory.path().string()}).exit_code == 0);

    const golden::Vectors asked = golden::read_vectors(directory.path());
    const golden::Vectors dumped = golden::read_vectors(out);
    REQUIRE(dumped.cases.size() == asked.cases.size());
    for (std::size_t i = 0; i < asked.cases.size(); ++i) {
        CHECK(dumped.cases[i].op == asked.cases[i].op);
        CHECK(dumped.cases[i].attributes == asked.cases[i].attributes);
        CHECK(dumped.cases[i].outputs.size() == asked.cases[i].expected.size());
        for (const auto& [name, tensor] : asked.cases[i].expected) {
            const golden::Tensor& output = dumped.cases[i].outputs.at(name);
            CHECK(output.dtype() == tensor.dtype());
            CHECK(output.shape() == tensor.shape());
        }
    }
}

TEST_CASE("a dump needs no expectations, and has the outputs that the case lists", "[golden]") {
    const TemporaryDirectory directory;
    const fs::path out = directory.path() / "out";
    Maker maker;
    const auto add_dequantization = [&](std::initializer_list<const char*> listed) {
        json one = {{"op", "dequantize"}, {"groups", 2}, {"bits", 4}, {"type", "symmetric"}};
        one["inputs"]["input"] = maker.add_tensor(Bytes(6, std::byte{0x7e}), "int8", {2, 3});
        one["inputs"]["params"] =
            maker.add_tensor(oracle::encode(oracle::Element::fp32, std::vector<float>{0.5F, 2.0F}),
                             "float32", {2, 1});
        for (const char* name : listed) {
            one["outputs"][name] = maker.add_tensor(Bytes(24), "float16", {2, 6});
        }
        maker.add(std::move(one));
    };
    add_dequantization({});
    add_dequantization({"fp16"});
    maker.write(directory.path());

    CHECK(run({directory.path().string()}).exit_code == 4);
    const Run got = run({"--dump", out.string(), directory.path().string()});
    INFO(got.out << got.err);
    CHECK(got.exit_code == 0);
    CHECK_THAT(got.out, Contains("dequantize                                     2       0       "
                                 "0       2\n"));
    const golden::Vectors dumped = golden::read_vectors(out);
    REQUIRE(dumped.cases.size() == 2);
    CHECK(dumped.cases[0].outputs.size() == 3);
    CHECK(dumped.cases[1].outputs.size() == 2);
    for (const golden::Case& of : dumped.cases) {
        const auto values = oracle::decode(oracle::Element::fp32, of.outputs.at("fp32").bytes());
        CHECK(values == std::vector<float>{3.5F, -1.0F, 3.5F, -1.0F, 3.5F, -1.0F, 14.0F, -4.0F,
                                           14.0F, -4.0F, 14.0F, -4.0F});
    }
}

TEST_CASE("every op of the vectors has a runner", "[golden]") {
    for (const char* op :
         {"ds_quantizer", "quantize", "dequantize", "dequantize_int4_to_half_experimental",
          "dequantize_int8_to_half_experimental", "swizzle_quant", "loco_swizzle_quant",
          "quantized_reduction", "loco_quantized_reduction"}) {
        CHECK(golden::find_runner(op) != nullptr);
    }
    CHECK(golden::find_runner("transpose") == nullptr);
}

TEST_CASE("the host gives every reference vector's bits", "[golden]") {
    check_reference_vectors("cpu");
}

TEST_CASE("wrong usage ends with 2 and help with 0", "[golden]") {
    const TemporaryDirectory directory;
    usual_cases().write(directory.path());
    const std::string place = directory.path().string();
    CHECK(run({}).exit_code == 2);
    CHECK(run({"--nonsense", place}).exit_code == 2);
    CHECK(run({place, place}).exit_code == 2);
    for (const char* device :
         {"gpu", "cuda", "cuda:", "cuda:-1", "cuda:0x", "cuda:99999999999", "CPU", ""}) {
        const Run got = run({"--device", device, place});
        INFO(device);
        CHECK(got.exit_code == 2);
        CHECK(got.out.empty());
        CHECK_FALSE(got.err.empty());
    }
    const Run onto_itself = run({"--dump", place, place});
    CHECK(onto_itself.exit_code == 2);
    CHECK_THAT(onto_itself.err, Contains("overwrite"));
    const Run help = run({"--help"});
    CHECK(help.exit_code == 0);
    CHECK_THAT(help.out, Contains("--dump") && Contains("Exit codes"));
}

TEST_CASE("missing and bad vectors end with 4", "[golden]") {
    const TemporaryDirectory directory;
    const Run missing = run({(directory.path() / "nowhere").string()});
    CHECK(missing.exit_code == 4);
    CHECK_THAT(missing.err, Contains("reference.json"));

    for (const char* field : {"bits", "groups"}) {
        Maker maker;
        maker.add_quantization("float32", oracle::Element::fp32, {.groups = 1, .bits = 5})[field] =
            "8";
        maker.write(directory.path());
        const Run got = run({directory.path().string()});
        CHECK(got.exit_code == 4);
        CHECK_THAT(got.err, Contains("case 0") && Contains(field));
    }
    for (const char* role : {"inputs", "expected"}) {
        Maker maker;
        maker.add_quantization("float32", oracle::Element::fp32, {.groups = 1, .bits = 5})
            .erase(role);
        maker.write(directory.path());
        CHECK(run({directory.path().string()}).exit_code == 4);
    }
    Maker wide;
    wide.add_quantization("float32", oracle::Element::fp32, {.groups = 1, .bits = 5})["bits"] =
        std::int64_t{1} << 40U;
    wide.write(directory.path());
    CHECK(run({directory.path().string()}).exit_code == 4);
}

TEST_CASE("a dump that cannot be written ends with 6", "[golden]") {
    const TemporaryDirectory directory;
    usual_cases().write(directory.path());
    write_file(directory.path() / "file", "");
    const Run got =
        run({"--dump", (directory.path() / "file" / "out").string(), directory.path().string()});
    CHECK(got.exit_code == 6);
    CHECK_THAT(got.err, Contains("file/out"));
}

TEST_CASE("a device that is not there ends with 9", "[golden]") {
    const TemporaryDirectory directory;
    usual_cases().write(directory.path());
    const Run got = run({"--device", "cuda:4095", directory.path().string()});
    CHECK(got.exit_code == 9);
    CHECK_FALSE(got.err.empty());
    CHECK(got.out.empty());
}

TEST_CASE("the program runs vectors on the GPU", "[golden][gpu]") {
    if (opforge::driver::driver_state().api == nullptr) {
        std::cout << "SKIPPED: no GPU: " << opforge::driver::driver_state().reason << '\n';
        return;
    }
    const TemporaryDirectory directory;
    usual_cases().write(directory.path());
    const fs::path on_gpu = directory.path() / "gpu";
    const fs::path on_host = directory.path() / "host";
    const Run got =
        run({"--device", "cuda:0", "--dump", on_gpu.string(), directory.path().string()});
    INFO(got.out << got.err);
    CHECK(got.exit_code == 0);
    CHECK(run({"--dump", on_host.string(), directory.path().string()}).exit_code == 0);
}

TEST_CASE("the GPU gives every reference vector's bits", "[golden][gpu]") {
    if (opforge::driver::driver_state().api == nullptr) {
        std::cout << "SKIPPED: no GPU: " << opforge::driver::driver_state().reason << '\n';
        return;
    }
    check_reference_vectors("cuda:0");
}
