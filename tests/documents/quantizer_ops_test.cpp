// docs/quantizer_ops.md: its table is the code's, its examples are those that run here.
#include "op_table_markdown.hpp"

#include "support/temporary_directory.hpp"

#include <opforge/opforge.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

using namespace opforge;

namespace {

std::filesystem::path source_file(std::string_view path) {
    return std::filesystem::path(OPFORGE_SOURCE_DIR) / path;
}
std::filesystem::path document_file() {
    return source_file("docs/quantizer_ops.md");
}

constexpr std::string_view kBegin = "<!-- The op table: generated, see the end. -->\n";
constexpr std::string_view kEnd = "<!-- End of the op table. -->\n";

std::vector<std::string> stripped_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
        const std::size_t begin = line.find_first_not_of(' ');
        lines.push_back(begin == std::string::npos ? "" : line.substr(begin));
    }
    return lines;
}

std::vector<std::string> examples_in(const std::string& document) {
    std::vector<std::string> blocks;
    const std::string open = "```cpp\n";
    for (std::size_t at = document.find(open); at != std::string::npos;
         at = document.find(open, at)) {
        at += open.size();
        blocks.push_back(document.substr(at, document.find("```", at) - at));
    }
    return blocks;
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) {
        text += line + "\n";
    }
    return text;
}

template <class T>
TensorView host(std::vector<T>& values, Dtype dtype) {
    return {values.data(), dtype, Shape{static_cast<std::int64_t>(values.size())}, Device::cpu()};
}

using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;

}  // namespace

TEST_CASE("the document's table is the code's", "[documents]") {
    const std::string document = test::read_file(document_file());
    const std::size_t begin = document.find(kBegin);
    const std::size_t end = document.find(kEnd);
    REQUIRE(begin != std::string::npos);
    REQUIRE(end != std::string::npos);
    const std::string shown = document.substr(begin + kBegin.size(), end - begin - kBegin.size());
    const std::string expected = test::op_table_markdown();
    if (std::getenv("OPFORGE_WRITE_DOCUMENTS") != nullptr) {
        test::write_file(document_file(), document.substr(0, begin + kBegin.size()) + expected +
                                              document.substr(end));
        return;
    }
    INFO("the op table in runtime/op_table.cpp has changed: write the document's anew with "
         "OPFORGE_WRITE_DOCUMENTS=1 build/release/bin/documents_tests");
    CHECK(shown == expected);
}

TEST_CASE("the document has a section for every op", "[documents]") {
    const std::string document = test::read_file(document_file());
    const std::string sections = document.substr(document.find(kEnd));
    for (const runtime::OpInfo& op : op_table()) {
        INFO(op.name);
        CHECK(sections.find(std::string("`").append(op.name).append("`")) != std::string::npos);
    }
}

TEST_CASE("the document's examples are those that run here", "[documents]") {
    const std::string source = joined(
        stripped_lines(test::read_file(source_file("tests/documents/quantizer_ops_test.cpp"))));
    const std::vector<std::string> examples = examples_in(test::read_file(document_file()));
    CHECK(examples.size() >= 8);
    for (const std::string& example : examples) {
        INFO(example);
        CHECK(source.find(joined(stripped_lines(example))) != std::string::npos);
    }
}

TEST_CASE("the example of fake quantization", "[documents]") {
    Floats values = {-2, -1, -0.5F, 0, 0.25F, 0.75F, 1.5F, 2};
    const TensorView weights{values.data(), Dtype::float32, {2, 4}, Device::cpu()};
    ds_quantizer(weights, /*groups=*/2, /*bit_num=*/4, /*sr=*/false, /*asym=*/true);
    ds_quantize_fp32(weights, /*groups=*/2, /*bits=*/8);

    CallOptions options;
    options.random = RandomState{/*seed=*/7, /*offset=*/0};
    ds_sr_quantize_fp32(weights, 2, 4, options);  // the same bits at every call
}

TEST_CASE("the example of outputs", "[documents]") {
    Floats values(64);
    const TensorView input{values.data(), Dtype::float32, {4, 16}, Device::cpu()};
    const auto spec = runtime::quantize_outputs(input.shape, /*groups=*/4, /*num_bits=*/4,
                                                QuantizationType::symmetric);
    std::vector<std::byte> codes(spec.codes.size_in_bytes());
    std::vector<float> params(static_cast<std::size_t>(spec.params.shape.elements()));
    OpOptions options;
    options.output = TensorView{codes.data(), spec.codes.dtype, spec.codes.shape, input.device};
    options.params = TensorView{params.data(), spec.params.dtype, spec.params.shape, input.device};
    quantize(input, 4, 4, QuantizationType::symmetric, options);
    CHECK(codes.size() == 32);
    CHECK(params == Floats{1, 1, 1, 1});

    std::vector<std::unique_ptr<std::byte[]>> memory;
    OpOptions allocating;
    allocating.allocate = [&](std::size_t size_bytes, Device) {
        return memory.emplace_back(new std::byte[size_bytes]).get();
    };
    const QuantizedTensor result = quantize(input, 4, 4, QuantizationType::symmetric, allocating);
    CHECK(memory.size() == 2);
    CHECK(result.codes.shape == Shape{4, 8});
}

TEST_CASE("the examples of quantize and dequantize", "[documents]") {
    Floats values = {-2, -1, -0.5F, 0, 0.25F, 0.75F, 1.5F, 2};
    Bytes codes(4);
    Floats steps(1);
    OpOptions to;
    to.output = host(codes, Dtype::int8);
    to.params = host(steps, Dtype::float32);
    quantize(host(values, Dtype::float32), /*groups=*/1, /*num_bits=*/4,
             QuantizationType::symmetric, to);
    // codes: 8c e0 13 67, that is -8 -4 -2 0 1 3 6 7; steps: 0.25
    CHECK(codes == Bytes{0x8C, 0xE0, 0x13, 0x67});
    CHECK(steps == Floats{0.25F});

    Floats decoded(8);
    OpOptions back;
    back.output = host(decoded, Dtype::float32);
    dequantize_fp32(host(codes, Dtype::int8), host(steps, Dtype::float32), 1, 4,
                    QuantizationType::symmetric, back);
    // decoded: -2 -1 -0.5 0 0.25 0.75 1.5 1.75
    CHECK(decoded == Floats{-2, -1, -0.5F, 0, 0.25F, 0.75F, 1.5F, 1.75F});
}

TEST_CASE("the example of the experimental dequantizers", "[documents]") {
    Bytes data = {0x0F, 0x81, 0x37, 0xC4};
    std::vector<std::uint16_t> scale = {0x4400};  // 4 in float16
    std::vector<std::uint16_t> min = {0xBC00};    // -1
    std::vector<std::uint16_t> values(8);
    OpOptions options;
    options.output = host(values, Dtype::float16);
    dequantize_int4_to_half_experimental(host(data, Dtype::uint8), host(scale, Dtype::float16),
                                         host(min, Dtype::float16), /*num_group=*/1,
                                         /*group_size=*/8, options);
    // values: -1 2.75 1 -0.75 -0.25 0.75 2 0
    CHECK(values == std::vector<std::uint16_t>{0xBC00, 0x4180, 0x3C00, 0xBA00, 0xB400, 0x3A00,
                                               0x4000, 0x0000});
}

TEST_CASE("the example of swizzle_quant", "[documents]") {
    Floats gradient = {1, 2, 3, 4, 5, 6, 7, 8};
    Bytes codes(8);
    Floats scales(8);
    OpOptions options;
    options.output = host(codes, Dtype::int8);
    options.params = host(scales, Dtype::float32);
    swizzle_quant(host(gradient, Dtype::float32), /*groups=*/8, /*num_bits=*/8,
                  QuantizationType::symmetric, /*pipeline_size=*/1, /*nodes=*/2,
                  /*devices_per_node=*/4, options);
    // scales: those of groups 0 4 1 5 2 6 3 7
    std::vector<long> order;
    for (const float step : scales) {
        order.push_back(std::lround(step * 128 - 1));
    }
    CHECK(order == std::vector<long>{0, 4, 1, 5, 2, 6, 3, 7});
}

TEST_CASE("the example of quantized_reduction", "[documents]") {
    std::vector<std::int8_t> codes = {1,  2,   3,  4,   -5, -6,  12, 8,     // device 0
                                      10, -10, 20, -20, 30, -28, 40, -40};  // device 1
    Floats scales = {0.5F, 0.25F};
    std::vector<std::int8_t> sum(8);
    Floats steps(1);
    OpOptions options;
    options.output = host(sum, Dtype::int8);
    options.params = host(steps, Dtype::float32);
    quantized_reduction(host(codes, Dtype::int8), host(scales, Dtype::float32), /*in_groups=*/2,
                        /*out_groups=*/1, /*num_bits=*/8, QuantizationType::symmetric,
                        /*devices_per_node=*/2, options);
    // sum: 24 -12 52 -24 40 -80 127 -48; steps: 0.125
    CHECK(sum == std::vector<std::int8_t>{24, -12, 52, -24, 40, -80, 127, -48});
    CHECK(steps == Floats{0.125F});
}

TEST_CASE("the examples of LoCo", "[documents]") {
    Floats gradient = {-2, -1, -0.5F, 0, 0.25F, 0.75F, 1.5F, 1.75F};
    Floats error = {0, 0.25F, -0.125F, 0.0625F, 0, -0.25F, 0.125F, 0.25F};
    Bytes codes(4);
    Floats scales(1);
    OpOptions options;
    options.output = host(codes, Dtype::int8);
    options.params = host(scales, Dtype::float32);
    loco_swizzle_quant(host(gradient, Dtype::float32), host(error, Dtype::float32),
                       /*err_beta=*/0.5F, /*groups=*/1, /*num_bits=*/4, QuantizationType::symmetric,
                       /*pipeline_size=*/1, /*nodes=*/1,
                       /*devices_per_node=*/1, options);
    // error: 0 0.125 -0.125 0.0625 0 -0.125 0.125 0.25, for the next step
    CHECK(codes == Bytes{0x8D, 0xE0, 0x12, 0x67});
    CHECK(error == Floats{0, 0.125F, -0.125F, 0.0625F, 0, -0.125F, 0.125F, 0.25F});

    Bytes sum(4);
    Floats steps(1);
    OpOptions reduced;
    reduced.output = host(sum, Dtype::int8);
    reduced.params = host(steps, Dtype::float32);
    loco_quantized_reduction(host(codes, Dtype::int8), host(scales, Dtype::float32),
                             host(error, Dtype::float32), /*err_beta=*/0.5F, /*in_groups=*/1,
                             /*out_groups=*/1, /*num_bits=*/4, QuantizationType::symmetric,
                             /*devices_per_node=*/1, reduced);
    CHECK(steps[0] > 0);
}
