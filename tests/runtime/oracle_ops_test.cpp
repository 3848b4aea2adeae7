// The oracle of the ops with codes, before anything is measured with it: against the contract's
// worked examples and the vectors.
#include "support/golden_directories.hpp"
#include "support/oracle_ops.hpp"

#include "golden/compare.hpp"
#include "golden/vectors.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace oracle = opforge::test::oracle;
namespace golden = opforge::golden;
using opforge::Bytes;
using opforge::test::golden_directories;
using oracle::Element;

namespace {

const std::vector<float> kExample = {-2.0F, -1.0F, -0.5F, 0.0F, 0.25F, 0.75F, 1.5F, 2.0F};

Bytes bytes_of(const std::vector<int>& values) {
    Bytes bytes;
    for (const int value : values) {
        bytes.push_back(static_cast<std::byte>(value));
    }
    return bytes;
}

Bytes halves(const std::vector<float>& values) {
    return oracle::encode(Element::fp16, values);
}

Bytes singles(const std::vector<float>& values) {
    return oracle::encode(Element::fp32, values);
}

oracle::Quantized quantize(const std::vector<float>& values, oracle::Coding coding,
                           std::int64_t groups = 1) {
    return oracle::quantize(Element::fp16, halves(values), groups, coding);
}

std::vector<int> codes_of(const oracle::Quantized& result, int bits) {
    return oracle::unpack(result.codes, bits);
}

// Equal bits, any NaN like any other.
bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return !golden::first_difference("float32", singles(a), singles(b)).has_value();
}

Element element_of(const std::string& dtype) {
    return dtype == "float16" ? Element::fp16 : dtype == "bfloat16" ? Element::bf16 : Element::fp32;
}

std::vector<float> floats_of(const golden::Tensor& tensor) {
    return oracle::decode(Element::fp32, tensor.bytes());
}

struct Recorded {
    const golden::Case& of;
    [[nodiscard]] const golden::Tensor& input(const std::string& name = "input") const {
        return golden::input(of, name);
    }
    [[nodiscard]] std::int64_t integer(const std::string& name) const {
        return golden::integer(of, name);
    }
    [[nodiscard]] oracle::Coding coding() const {
        return {static_cast<int>(integer("bits")), of.attributes.at("type") == "asymmetric"};
    }
    [[nodiscard]] std::optional<oracle::Feedback> feedback() const {
        if (of.inputs.count("error_feedback") == 0) {
            return std::nullopt;
        }
        const auto error = input("error_feedback").bytes();
        return oracle::Feedback{{error.begin(), error.end()},
                                static_cast<float>(of.attributes.at("err_beta").get<double>())};
    }
};

using Results = std::map<std::string, Bytes>;

Results results_of(const oracle::Quantized& got, const std::string& params) {
    Results results{{"output", got.codes}, {params, singles(got.params)}};
    if (!got.error.empty()) {
        results["error_feedback"] = got.error;
    }
    return results;
}

// Empty for ops that the oracle of fake quantization knows.
Results run(const Recorded& one) {
    const std::string& op = one.of.op;
    if (op == "quantize") {
        std::optional<oracle::Noise> noise;
        if (golden::flag(one.of, "sr")) {
            noise = oracle::Noise{golden::unsigned_integer(one.of, "seed"),
                                  golden::unsigned_integer(one.of, "offset")};
        }
        return results_of(oracle::quantize(element_of(one.input().dtype()), one.input().bytes(),
                                           one.integer("groups"), one.coding(), noise),
                          "params");
    }
    if (op == "dequantize") {
        const auto values = oracle::dequantize(one.input().bytes(), floats_of(one.input("params")),
                                               one.integer("groups"), one.coding());
        return {{"fp16", oracle::encode(Element::fp16, values)},
                {"bf16", oracle::encode(Element::bf16, values)},
                {"fp32", oracle::encode(Element::fp32, values)}};
    }
    if (op.find("_experimental") != std::string::npos) {
        return {{"output",
                 oracle::dequantize_experimental(
                     one.input().bytes(), one.input("scale").bytes(), one.input("min").bytes(),
                     one.integer("groups"), op == "dequantize_int4_to_half_experimental" ? 4 : 8)}};
    }
    if (op == "swizzle_quant" || op == "loco_swizzle_quant") {
        return results_of(oracle::swizzle_quant(element_of(one.input().dtype()),
                                                one.input().bytes(), one.integer("groups"),
                                                one.coding(),
                                                {one.integer("pipeline"), one.integer("nodes"),
                                                 one.integer("devices_per_node")},
                                                one.feedback()),
                          "scales");
    }
    if (op == "quantized_reduction" || op == "loco_quantized_reduction") {
        const auto feedback = one.feedback();
        const Element element = feedback.has_value()
                                    ? element_of(one.input("error_feedback").dtype())
                                    : element_of(one.of.attributes.value("dtype", "float16"));
        return results_of(
            oracle::quantized_reduction(element, one.input().bytes(),
                                        floats_of(one.input("scales")), one.coding(),
                                        {one.integer("in_groups"), one.integer("out_groups"),
                                         one.integer("devices_per_node")},
                                        feedback),
            "scales");
    }
    return {};
}

}  // namespace

TEST_CASE("packed codes are a most-significant-bit-first stream", "[oracle]") {
    CHECK(oracle::pack(std::vector<int>{1, -1, 0, -2}, 2) == bytes_of({0b01110010}));
    CHECK(oracle::pack(std::vector<int>{-8, 7}, 4) == bytes_of({0x87}));
    CHECK(oracle::pack(std::vector<int>{-128, 127}, 8) == bytes_of({0x80, 0x7f}));
    for (const int bits : {2, 4, 8}) {
        std::vector<int> codes;
        for (int code = -(1 << (bits - 1)); code < 1 << (bits - 1); ++code) {
            codes.push_back(code);
        }
        CHECK(oracle::unpack(oracle::pack(codes, bits), bits) == codes);
    }
}

TEST_CASE("the oracle quantizes and decodes the worked examples", "[oracle]") {
    const auto eight = quantize(kExample, {8, false});
    CHECK(eight.codes == bytes_of({0x80, 0xc0, 0xe0, 0x00, 0x10, 0x30, 0x60, 0x7f}));
    CHECK(eight.params == std::vector<float>{0.015625F});

    const auto four = quantize(kExample, {4, false});
    CHECK(four.codes == bytes_of({0x8c, 0xe0, 0x13, 0x67}));
    CHECK(four.params == std::vector<float>{0.25F});
    CHECK(oracle::dequantize(four.codes, four.params, 1, {4, false}) ==
          std::vector<float>{-2.0F, -1.0F, -0.5F, 0.0F, 0.25F, 0.75F, 1.5F, 1.75F});

    const oracle::Coding asymmetric{4, true};
    const auto shifted = quantize({1.0F, 1.5F, 2.0F, 2.5F, 3.0F, 3.5F, 4.0F, 5.0F}, asymmetric);
    CHECK(shifted.codes == bytes_of({0x8a, 0xce, 0x02, 0x47}));
    CHECK(shifted.params == std::vector<float>{0.25F, 3.0F});
    CHECK(oracle::dequantize(shifted.codes, shifted.params, 1, asymmetric) ==
          std::vector<float>{1.0F, 1.5F, 2.0F, 2.5F, 3.0F, 3.5F, 4.0F, 4.75F});
}

TEST_CASE("the oracle rounds ties to the even code", "[oracle]") {
    const auto result = quantize({2.5F / 64, 3.5F / 64, -2.5F / 64, 2.0F}, {8, false});
    CHECK(codes_of(result, 8) == std::vector<int>{2, 4, -2, 127});
}

TEST_CASE("the oracle's experimental dequantizer rounds the quotient and the sum", "[oracle]") {
    const auto example = oracle::dequantize_experimental(bytes_of({0x0f, 0x81, 0x37, 0xc4}),
                                                         halves({4.0F}), halves({-1.0F}), 1, 4);
    CHECK(oracle::decode(Element::fp16, example) ==
          std::vector<float>{-1.0F, 2.75F, 1.0F, -0.75F, -0.25F, 0.75F, 2.0F, 0.0F});
    const auto twice =
        oracle::dequantize_experimental(bytes_of({0x08}), halves({7.5F}), halves({-1.0F}), 1, 8);
    CHECK(oracle::decode(Element::fp16, twice) == std::vector<float>{0.06640625F});
    const auto unsigned_code =
        oracle::dequantize_experimental(bytes_of({0xff}), halves({1.0F}), halves({0.0F}), 1, 8);
    CHECK(oracle::decode(Element::fp16, unsigned_code) == std::vector<float>{255.0F});
}

TEST_CASE("the oracle moves groups as the swizzle's examples say", "[oracle]") {
    struct Row {
        std::int64_t groups;
        oracle::Partition partition;
        std::vector<int> sources;  // by output position
    };
    for (const Row& row :
         {Row{8, {1, 2, 4}, {0, 4, 1, 5, 2, 6, 3, 7}}, Row{8, {1, 2, 2}, {0, 1, 4, 5, 2, 3, 6, 7}},
          Row{8, {2, 2, 2}, {0, 4, 2, 6, 1, 5, 3, 7}},
          Row{16, {2, 2, 2}, {0, 1, 8, 9, 4, 5, 12, 13, 2, 3, 10, 11, 6, 7, 14, 15}}}) {
        // Group i holds i - 100, one element each: its offset tells where it went.
        std::vector<float> values;
        for (std::int64_t i = 0; i < row.groups; ++i) {
            values.push_back(static_cast<float>(i - 100));
        }
        const auto result = oracle::swizzle_quant(Element::fp32, singles(values), row.groups,
                                                  {8, true}, row.partition);
        for (std::size_t o = 0; o < row.sources.size(); ++o) {
            CHECK(result.params[2 * o + 1] == static_cast<float>(row.sources[o] - 100));
        }
    }
}

TEST_CASE("the oracle reduces the worked example", "[oracle]") {
    const auto codes = bytes_of({1, 2, 3, 4, -5, -6, 12, 8, 10, -10, 20, -20, 30, -28, 40, -40});
    const std::vector<float> steps = {0.5F, 0.25F};
    const auto result =
        oracle::quantized_reduction(Element::fp16, codes, steps, {8, false}, {2, 1, 2});
    CHECK(codes_of(result, 8) == std::vector<int>{24, -12, 52, -24, 40, -80, 127, -48});
    CHECK(result.params == std::vector<float>{0.125F});
}

TEST_CASE("the oracle updates the worked example's error feedback", "[oracle]") {
    const std::vector<float> values = {-2.0F, -1.0F, -0.5F, 0.0F, 0.25F, 0.75F, 1.5F, 1.75F};
    const std::vector<float> error = {0.0F, 0.25F, -0.125F, 0.0625F, 0.0F, -0.25F, 0.125F, 0.25F};
    const auto result = oracle::swizzle_quant(Element::fp16, halves(values), 1, {4, false},
                                              {1, 1, 1}, oracle::Feedback{halves(error), 0.5F});
    CHECK(result.codes == bytes_of({0x8d, 0xe0, 0x12, 0x67}));
    CHECK(oracle::decode(Element::fp16, result.error) ==
          std::vector<float>{0.0F, 0.125F, -0.125F, 0.0625F, 0.0F, -0.125F, 0.125F, 0.25F});
}

TEST_CASE("zero and constant groups have a step of one", "[oracle]") {
    CHECK(quantize({0.0F, -0.0F}, {8, false}).params == std::vector<float>{1.0F});
    const auto constant = quantize({-3.0F, -3.0F}, {8, true});
    CHECK(constant.params == std::vector<float>{1.0F, -3.0F});
    CHECK(constant.codes == bytes_of({0, 0}));
    // -0 is below +0: the offset of both is the middle, +0, and that of -0 alone is -0.
    CHECK(same(quantize({0.0F, -0.0F}, {8, true}).params, {1.0F, 0.0F}));
    CHECK(same(quantize({-0.0F, -0.0F}, {8, true}).params, {1.0F, -0.0F}));
}

TEST_CASE("the oracle's poisoned groups have NaN records, codes of 0, and leave others alone",
          "[oracle]") {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    for (const float bad : {HUGE_VALF, -HUGE_VALF, kNan}) {
        const auto symmetric = quantize({1.0F, 2.0F, bad, 2.0F}, {8, false}, 2);
        CHECK(same(symmetric.params, {0.015625F, kNan}));
        CHECK(symmetric.codes == bytes_of({64, 127, 0, 0}));
        CHECK(same(quantize({1.0F, bad}, {8, true}).params, {kNan, kNan}));
    }
    struct Row {
        std::vector<float> values;
        bool asymmetric;
    };
    for (const Row& row : {Row{{2e38F, 0.0F}, false}, Row{{-2e38F, 2e38F}, true},
                           Row{{2e38F, 2.1e38F}, true}}) {  // 2m; hi - lo; hi + lo
        const auto result =
            oracle::quantize(Element::fp32, singles(row.values), 1, {8, row.asymmetric});
        CHECK(std::isnan(result.params[0]));
        CHECK(result.codes == bytes_of({0, 0}));
    }
    const auto loco = oracle::swizzle_quant(Element::fp16, halves({1.0F, HUGE_VALF}), 2, {8, false},
                                            {1, 1, 2}, oracle::Feedback{halves({0.0F, 0.0F}), 1});
    const auto error = oracle::decode(Element::fp16, loco.error);
    CHECK(error[0] == 0.0F);
    CHECK(std::isnan(error[1]));
}

TEST_CASE("a range so tiny that the scale is infinite gives a step of 0 and saturated codes",
          "[oracle]") {
    const float tiny = std::ldexp(1.0F, -140);
    const auto result =
        oracle::quantize(Element::fp32, singles({tiny, -tiny, 0.0F, -0.0F}), 1, {8, false});
    CHECK(result.params == std::vector<float>{0.0F});
    CHECK(codes_of(result, 8) == std::vector<int>{127, -128, 0, 0});
}

TEST_CASE("the oracle's stochastic codes step up where the number is below the fraction",
          "[oracle]") {
    std::vector<float> values(256, 0.3F);  // times 64: 19.2
    values[0] = 2.0F;
    const auto result =
        oracle::quantize(Element::fp32, singles(values), 1, {8, false}, oracle::Noise{5, 1000});
    const auto codes = codes_of(result, 8);
    const float v = 0.3F * 64.0F;
    int wrong = 0;
    for (std::size_t i = 1; i < codes.size(); ++i) {
        const bool up = oracle::uniform(5, 1000 + i) < v - 19.0F;
        wrong += codes[i] == (up ? 20 : 19) ? 0 : 1;
    }
    CHECK(wrong == 0);
}

TEST_CASE("an empty tensor's groups have steps of one and offsets of zero", "[oracle]") {
    CHECK(quantize({}, {8, true}, 2).params == std::vector<float>{1.0F, 0.0F, 1.0F, 0.0F});
    CHECK(oracle::quantized_reduction(Element::fp16, {}, std::vector<float>{1.0F, 1.0F}, {8, false},
                                      {2, 1, 2})
              .params == std::vector<float>{1.0F});
}

TEST_CASE("the oracle equals every recorded case of the ops with codes bit for bit", "[oracle]") {
    const auto directories = golden_directories();
    if (directories.empty()) {
        std::cout << "SKIPPED: no reference vectors (OPFORGE_GOLDEN_DIR)\n";
        return;
    }
    std::size_t checked = 0;
    for (const auto& directory : directories) {
        for (const golden::Case& of : golden::read_vectors(directory).cases) {
            if (of.op == "ds_quantizer") {
                continue;
            }
            const Results results = run({of});
            for (const auto& [name, expected] : of.expected) {
                INFO(directory << " case " << of.index << " " << of.op << " "
                               << of.attributes.dump() << " " << name);
                REQUIRE(results.count(name) == 1);
                CHECK_FALSE(
                    golden::first_difference(expected.dtype(), expected.bytes(), results.at(name))
                        .has_value());
            }
            ++checked;
        }
    }
    CHECK(checked > 0);
}
