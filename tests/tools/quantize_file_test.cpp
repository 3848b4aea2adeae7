#include "support/temporary_directory.hpp"
#include "tensor_file_writers.hpp"

#include <file_errors.hpp>
#include <quantize_file.hpp>

#include <opforge/runtime/ds_quantizer.hpp>

#include <catch2/catch.hpp>

namespace opforge::test {
namespace {

using Catch::Matchers::Contains;
using runtime::Dtype;

// One of each kind: 72 halves, an odd integer tensor, an empty one, 40 floats, 24 bfloat16.
std::vector<WrittenTensor> model() {
    std::string bfloat16 = as_floats(sample_values(24));
    std::string upper;
    for (std::size_t i = 0; i < bfloat16.size(); i += 4) {
        upper += bfloat16.substr(i + 2, 2);
    }
    return {{"half", "F16", {9, 8}, as_halves(sample_values(72))},
            {"positions", "I64", {3}, std::string(24, '\x07')},
            {"nothing", "F32", {0, 8}, ""},
            {"float", "F32", {40}, as_floats(sample_values(40))},
            {"bfloat", "BF16", {2, 12}, upper}};
}

std::string quantized(std::string bytes, Dtype dtype, std::int64_t groups, int bits,
                      bool asymmetric, const std::optional<runtime::RandomState>& random) {
    runtime::CallOptions options;
    options.random = random;
    const auto elements = static_cast<std::int64_t>(bytes.size() / runtime::size_bytes(dtype));
    runtime::ds_quantizer({bytes.data(), dtype, runtime::Shape{elements}, runtime::Device::cpu()},
                          groups, bits, random.has_value(), asymmetric, options);
    return bytes;
}

class Folder {
public:
    explicit Folder(const std::string& text, const char* name = "in.safetensors") {
        settings.input = folder_.path() / name;
        settings.output = folder_.path() / "out";
        settings.group_size = 8;
        settings.bits = 4;
        write_file(settings.input, text);
    }
    [[nodiscard]] std::string output() const { return read_file(*settings.output); }
    [[nodiscard]] bool has_output() const { return std::filesystem::exists(*settings.output); }
    tools::QuantizeSettings settings;

private:
    TemporaryDirectory folder_;
};

TEST_CASE("each tensor comes out as ds_quantizer gives it, all else as it was", "[tools]") {
    for (const bool asymmetric : {false, true}) {
        const std::vector<std::pair<std::string, std::string>> metadata = {{"format", "pt"}};
        Folder folder(safetensors_text(model(), metadata));
        folder.settings.asymmetric = asymmetric;
        const tools::FileOutcome outcome = tools::quantize_file(folder.settings);

        std::vector<WrittenTensor> expected = model();
        expected[0].bytes = quantized(expected[0].bytes, Dtype::float16, 9, 4, asymmetric, {});
        expected[3].bytes = quantized(expected[3].bytes, Dtype::float32, 5, 4, asymmetric, {});
        expected[4].bytes = quantized(expected[4].bytes, Dtype::bfloat16, 3, 4, asymmetric, {});
        CHECK(folder.output() == safetensors_text(expected, metadata));
        CHECK(folder.output() != safetensors_text(model(), metadata));

        REQUIRE(outcome.tensors.size() == 5);
        CHECK(outcome.tensors[0].groups == 9);
        CHECK(outcome.tensors[0].error.snr_db().value_or(0) > 10);
        CHECK(outcome.tensors[0].error.worst > 0);
        CHECK_THAT(outcome.tensors[1].skipped, Contains("I64"));
        CHECK(outcome.tensors[2].skipped == "empty");
    }
}

TEST_CASE("each tensor has its own random numbers, counted over the whole file", "[tools]") {
    std::vector<WrittenTensor> tensors = {{"a", "F32", {6}, as_floats(sample_values(6))},
                                          {"b", "I8", {3}, "abc"},
                                          {"c", "F32", {6}, as_floats(sample_values(6))}};
    Folder folder(safetensors_text(tensors));
    folder.settings.group_size = 3;
    folder.settings.stochastic = true;
    folder.settings.seed = 11;
    const tools::FileOutcome outcome = tools::quantize_file(folder.settings);

    // 6 elements take 8 numbers, 3 take 4.
    CHECK(outcome.tensors[2].random_offset == 12);
    tensors[0].bytes =
        quantized(tensors[0].bytes, Dtype::float32, 2, 4, false, runtime::RandomState{11, 0});
    tensors[2].bytes =
        quantized(tensors[2].bytes, Dtype::float32, 2, 4, false, runtime::RandomState{11, 12});
    CHECK(folder.output() == safetensors_text(tensors));
}

TEST_CASE("the number of threads changes no bit", "[tools]") {
    const std::vector<WrittenTensor> tensors = {
        {"a", "F16", {300, 1000}, as_halves(sample_values(300'000))}};
    std::string one_thread;
    for (const int threads : {1, 3}) {
        Folder folder(safetensors_text(tensors));
        folder.settings.group_size = 1000;
        folder.settings.stochastic = true;
        folder.settings.threads = threads;
        static_cast<void>(tools::quantize_file(folder.settings));
        if (threads == 1) {
            one_thread = folder.output();
        }
        CHECK(folder.output() == one_thread);
    }
}

TEST_CASE("an npy file keeps its header", "[tools]") {
    const std::string data = as_halves(sample_values(64));
    const char* header = "{'descr': '<f2', 'fortran_order': False, 'shape': (8, 8), }";
    Folder folder(npy_text(header, data, 2), "in.npy");
    folder.settings.group_size = 0;
    folder.settings.groups = 2;
    static_cast<void>(tools::quantize_file(folder.settings));
    CHECK(folder.output() == npy_text(header, quantized(data, Dtype::float16, 2, 4, false, {}), 2));
}

TEST_CASE("the output may be the input itself", "[tools]") {
    Folder folder(safetensors_text(model()));
    static_cast<void>(tools::quantize_file(folder.settings));
    const std::string elsewhere = folder.output();
    folder.settings.output = folder.settings.input;
    static_cast<void>(tools::quantize_file(folder.settings));
    CHECK(folder.output() == elsewhere);
}

TEST_CASE("without an output only the report is made", "[tools]") {
    Folder folder(safetensors_text(model()));
    folder.settings.output.reset();
    CHECK(tools::quantize_file(folder.settings).tensors.size() == 5);
    CHECK(std::distance(std::filesystem::directory_iterator(folder.settings.input.parent_path()),
                        std::filesystem::directory_iterator()) == 1);
}

TEST_CASE("tensors that the group size misfits are skipped with the reason", "[tools]") {
    Folder folder(safetensors_text(model()));
    folder.settings.group_size = 36;
    const tools::FileOutcome outcome = tools::quantize_file(folder.settings);
    CHECK(outcome.tensors[0].skipped.empty());
    CHECK_THAT(outcome.tensors[3].skipped, Contains("40 elements") && Contains("36"));
}

TEST_CASE("a file in which nothing fits is an error, and nothing is written", "[tools]") {
    Folder folder(safetensors_text(model()));
    folder.settings.group_size = 7;
    CHECK_THROWS_WITH(tools::quantize_file(folder.settings),
                      Contains("no tensor can be quantized") && Contains("\"half\"") &&
                          Contains("72 elements"));
    CHECK_FALSE(folder.has_output());
}

TEST_CASE("a file of nothing but empty tensors is copied", "[tools]") {
    const std::string text = safetensors_text({{"a", "F16", {0}, ""}});
    Folder folder(text);
    CHECK(tools::quantize_file(folder.settings).tensors.size() == 1);
    CHECK(folder.output() == text);
}

TEST_CASE("progress ends at the whole file", "[tools]") {
    Folder folder(safetensors_text(model()));
    std::uint64_t last = 0;
    std::vector<std::string> names;
    static_cast<void>(tools::quantize_file(
        folder.settings, [&](std::uint64_t done, std::uint64_t total, std::string_view name) {
            CHECK(done >= last);
            CHECK(total == std::filesystem::file_size(folder.settings.input));
            last = done;
            names.emplace_back(name);
        }));
    CHECK(last == std::filesystem::file_size(folder.settings.input));
    CHECK(names.size() == 6);
}

}  // namespace
}  // namespace opforge::test
