// Shapes and dtypes of the outputs of the ops with codes, and what has none.
#include <opforge/base/error.hpp>
#include <opforge/runtime/op_outputs.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

using namespace opforge::runtime;
using Catch::Matchers::Contains;
using opforge::InvalidArgument;

namespace {

constexpr auto kSymmetric = QuantizationType::symmetric;
constexpr auto kAsymmetric = QuantizationType::asymmetric;
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

std::string refusal(const std::function<void()>& call) {
    try {
        call();
    } catch (const InvalidArgument& error) {
        return error.what();
    }
    return "taken";
}

}  // namespace

TEST_CASE("quantize's codes have the input's shape, the last dimension packed",
          "[runtime][outputs]") {
    struct Row {
        Shape input;
        std::int64_t groups;
        int bits;
        Shape codes;
    };
    for (const Row& row :
         {Row{{3, 16}, 6, 8, {3, 16}}, Row{{3, 16}, 6, 4, {3, 8}}, Row{{3, 16}, 6, 2, {3, 4}},
          Row{{1, 8}, 1, 8, {1, 8}}, Row{{64}, 4, 4, {32}}, Row{{2, 3, 4, 8}, 3, 4, {2, 3, 4, 4}},
          Row{{7}, 7, 8, {7}}}) {
        const QuantizedSpec spec = quantize_outputs(row.input, row.groups, row.bits, kSymmetric);
        CHECK(spec.codes.dtype == Dtype::int8);
        CHECK(spec.codes.shape == row.codes);
    }
}

TEST_CASE("codes are one-dimensional where the last dimension does not fill whole bytes",
          "[runtime][outputs]") {
    CHECK(quantize_outputs({4, 3}, 2, 4, kSymmetric).codes.shape == Shape{6});
    CHECK(quantize_outputs({4, 2}, 1, 2, kSymmetric).codes.shape == Shape{2});
    CHECK(quantize_outputs({4, 3}, 2, 8, kSymmetric).codes.shape == Shape{4, 3});
    CHECK(quantize_outputs(Shape{}, 1, 8, kSymmetric).codes.shape.elements() == 1);
}

TEST_CASE("a record is a step, or a step and an offset", "[runtime][outputs]") {
    CHECK(quantize_outputs({3, 16}, 6, 8, kSymmetric).params ==
          OutputSpec{Dtype::float32, Shape{6, 1}});
    CHECK(quantize_outputs({3, 16}, 6, 8, kAsymmetric).params ==
          OutputSpec{Dtype::float32, Shape{6, 2}});
    CHECK(swizzle_quant_outputs({3, 16}, 8, 4, kAsymmetric, 1, 2, 2).params ==
          OutputSpec{Dtype::float32, Shape{8, 2}});
    CHECK(quantized_reduction_outputs({48}, 6, 4, 8, kAsymmetric, 3).params ==
          OutputSpec{Dtype::float32, Shape{4, 2}});
}

TEST_CASE("an empty tensor has empty codes and a record for every group", "[runtime][outputs]") {
    const QuantizedSpec spec = quantize_outputs({0, 16}, 5, 4, kAsymmetric);
    CHECK(spec.codes.shape == Shape{0, 8});
    CHECK(spec.params.shape == Shape{5, 2});
    CHECK(quantize_outputs({16, 0}, 5, 4, kSymmetric).codes.shape.elements() == 0);
    CHECK(dequantize_output({3, 0}, 5, 4).shape == Shape{3, 0});
}

TEST_CASE("dequantized values have the codes' shape, the last dimension unpacked",
          "[runtime][outputs]") {
    CHECK(dequantize_output({3, 8}, 6, 8) == OutputSpec{Dtype::float16, Shape{3, 8}});
    CHECK(dequantize_output({3, 8}, 6, 4, Dtype::float32) ==
          OutputSpec{Dtype::float32, Shape{3, 16}});
    CHECK(dequantize_output({8}, 1, 2, Dtype::bfloat16) == OutputSpec{Dtype::bfloat16, Shape{32}});
}

TEST_CASE("the experimental dequantizers give rows of groups", "[runtime][outputs]") {
    CHECK(dequantize_experimental_output(3, 10, 4) == OutputSpec{Dtype::float16, Shape{3, 10}});
    CHECK(dequantize_experimental_output(3, 5, 8) == OutputSpec{Dtype::float16, Shape{3, 5}});
    CHECK(dequantize_experimental_output(0, 10, 4).shape == Shape{0, 10});
}

TEST_CASE("swizzled codes are one-dimensional", "[runtime][outputs]") {
    CHECK(swizzle_quant_outputs({6, 16}, 12, 4, kSymmetric, 3, 2, 2).codes ==
          OutputSpec{Dtype::int8, Shape{48}});
    CHECK(swizzle_quant_outputs({6, 16}, 12, 8, kSymmetric, 3, 2, 2).codes.shape == Shape{96});
}

TEST_CASE("reduced codes have the input's shape, the last dimension shared out",
          "[runtime][outputs]") {
    CHECK(quantized_reduction_outputs({48}, 6, 4, 8, kSymmetric, 3).codes ==
          OutputSpec{Dtype::int8, Shape{16}});
    CHECK(quantized_reduction_outputs({1, 48}, 6, 4, 4, kSymmetric, 3).codes.shape == Shape{1, 16});
    CHECK(quantized_reduction_outputs({5, 12}, 10, 3, 4, kSymmetric, 2).codes.shape == Shape{5, 6});
}

TEST_CASE("an output's bytes are its elements times their size", "[runtime][outputs]") {
    CHECK(dequantize_output({3, 8}, 6, 4, Dtype::float32).size_in_bytes() == 192);
    CHECK(quantize_outputs({3, 16}, 6, 4, kAsymmetric).params.size_in_bytes() == 48);
}

TEST_CASE("the shapes of what an op refuses are refused with what is wrong", "[runtime][outputs]") {
    const auto quantize = [](Shape shape, std::int64_t groups, int bits) {
        return refusal(
            [&] { static_cast<void>(quantize_outputs(shape, groups, bits, kSymmetric)); });
    };
    CHECK_THAT(quantize({16}, 4, 3), Contains("quantize") && Contains("3"));
    CHECK_THAT(quantize({16}, 3, 8), Contains("3") && Contains("16"));
    CHECK_THAT(quantize({16}, 0, 8), Contains("groups") && Contains("0"));
    CHECK_THAT(quantize({15}, 5, 4), Contains("whole bytes") && Contains("3"));
    CHECK_THAT(quantize({20}, 2, 2), Contains("whole bytes") && Contains("10"));

    CHECK_THAT(refusal([] { static_cast<void>(dequantize_output({6}, 4, 4)); }),
               Contains("dequantize") && Contains("whole bytes") && Contains("3"));
    CHECK_THAT(refusal([] { static_cast<void>(dequantize_experimental_output(4, 3, 4)); }),
               Contains("3"));
    CHECK_THAT(refusal([] { static_cast<void>(dequantize_experimental_output(4, 4, 2)); }),
               Contains("2"));
    CHECK_THAT(refusal([] { static_cast<void>(dequantize_experimental_output(-4, 4, 8)); }),
               Contains("-4"));

    const auto swizzle = [](std::int64_t pipeline, std::int64_t nodes, std::int64_t devices,
                            int bits) {
        return refusal([&] {
            static_cast<void>(
                swizzle_quant_outputs({96}, 12, bits, kSymmetric, pipeline, nodes, devices));
        });
    };
    CHECK_THAT(swizzle(1, 5, 1, 8), Contains("swizzle_quant") && Contains("12") && Contains("5"));
    CHECK_THAT(swizzle(1, 1, 1, 2), Contains("num_bits") && Contains("2"));
    CHECK_THAT(swizzle(0, 1, 1, 8), Contains("pipeline_size") && Contains("0"));
    CHECK_THAT(swizzle(1, -7, 1, 8), Contains("nodes") && Contains("-7"));

    const auto reduce = [](Shape shape, std::int64_t in, std::int64_t out, std::int64_t devices) {
        return refusal([&] {
            static_cast<void>(quantized_reduction_outputs(shape, in, out, 8, kSymmetric, devices));
        });
    };
    CHECK_THAT(reduce({5, 7}, 5, 1, 5), Contains("quantized_reduction") && Contains("7"));
    CHECK_THAT(reduce({30}, 7, 1, 2), Contains("7"));
    CHECK_THAT(reduce({30}, 2, 4, 2), Contains("4") && Contains("15"));
    CHECK_THAT(reduce({30}, 8, 1, 2), Contains("4") && Contains("15"));
    CHECK_THAT(reduce({30}, 2, 1, 0), Contains("devices_per_node") && Contains("0"));
}

TEST_CASE("a dtype that dequantize does not give has no output", "[runtime][outputs]") {
    for (const Dtype dtype : {Dtype::float64, Dtype::int8, Dtype::int32}) {
        CHECK_THAT(refusal([&] { static_cast<void>(dequantize_output({8}, 1, 8, dtype)); }),
                   Contains("dequantize") && Contains(std::string(to_string(dtype))));
    }
}

TEST_CASE("outputs whose bytes are past 2^63 are refused rather than wrapped",
          "[runtime][outputs]") {
    constexpr std::int64_t kTop = std::int64_t{1} << 61U;
    CHECK_THROWS_AS(quantize_outputs({0}, kTop, 8, kSymmetric), InvalidArgument);
    CHECK(quantize_outputs({0}, kTop - 1, 8, kSymmetric).params.size_in_bytes() ==
          (std::size_t{1} << 63U) - 4);
    CHECK_THROWS_AS(swizzle_quant_outputs({0}, kTop, 8, kSymmetric, 1, 1, 1), InvalidArgument);
    CHECK_THROWS_AS(quantized_reduction_outputs({0}, 1, kTop, 8, kSymmetric, 1), InvalidArgument);
    CHECK_THROWS_AS(dequantize_output({kTop}, 1, 8, Dtype::float32), InvalidArgument);
    CHECK_THROWS_AS(dequantize_experimental_output(2 * kTop, 1, 8), InvalidArgument);
}

TEST_CASE("counts past 2^63 are refused rather than wrapped", "[runtime][outputs]") {
    CHECK_THROWS_AS(dequantize_output({std::int64_t{1} << 61U}, 1, 2), InvalidArgument);
    CHECK_THROWS_AS(dequantize_output({kLargest}, 1, 4), InvalidArgument);
    CHECK_THROWS_AS(quantize_outputs({0}, kLargest, 8, kAsymmetric), InvalidArgument);
    CHECK_THROWS_AS(
        dequantize_experimental_output(std::int64_t{1} << 40U, std::int64_t{1} << 40U, 8),
        InvalidArgument);
    CHECK_THROWS_AS(swizzle_quant_outputs({16}, 16, 8, kSymmetric, 1, std::int64_t{1} << 40U,
                                          std::int64_t{1} << 40U),
                    InvalidArgument);
    CHECK_THROWS_AS(
        quantized_reduction_outputs({std::int64_t{1} << 62U, 2}, 2, 1, 4, kSymmetric, 2),
        InvalidArgument);
}
