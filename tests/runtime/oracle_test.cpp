// The oracle itself, before anything is measured with it: against published numbers, worked
// examples and the vectors.
#include "support/golden_directories.hpp"
#include "support/oracle.hpp"

#include "golden/compare.hpp"
#include "golden/vectors.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <limits>

namespace oracle = opforge::test::oracle;
namespace golden = opforge::golden;
using opforge::test::golden_directories;

namespace {

// Both 16-bit formats: the bits of consecutive magnitudes are consecutive integers up to the
// infinity's.
template <class Widen, class Narrow>
void check_every_value_and_midpoint(Widen widen, Narrow narrow, std::uint16_t infinity) {
    const auto negative = [](std::uint32_t bits) {
        return static_cast<std::uint16_t>(bits | 0x8000U);
    };
    std::size_t wrong = 0;
    for (std::uint32_t bits = 0; bits < infinity; ++bits) {
        const auto low = static_cast<std::uint16_t>(bits);
        const auto high = static_cast<std::uint16_t>(bits + 1);
        const float below = widen(low);
        // Above the largest finite value the next step would be the infinity: as far away as the
        // last one.
        const double gap = high == infinity
                               ? static_cast<double>(below) -
                                     static_cast<double>(widen(static_cast<std::uint16_t>(low - 1)))
                               : static_cast<double>(widen(high)) - static_cast<double>(below);
        const auto middle = static_cast<float>(static_cast<double>(below) + gap / 2);
        const std::uint16_t even = low % 2 == 0 ? low : high;
        wrong += narrow(below) == low ? 0U : 1U;
        wrong += narrow(-below) == negative(low) ? 0U : 1U;
        wrong += gap > 0 ? 0U : 1U;
        wrong += narrow(middle) == even ? 0U : 1U;
        wrong += narrow(-middle) == negative(even) ? 0U : 1U;
        wrong += narrow(std::nextafter(middle, 0.0F)) == low ? 0U : 1U;
        wrong += narrow(std::nextafter(middle, HUGE_VALF)) == high ? 0U : 1U;
    }
    CHECK(wrong == 0);
    CHECK(narrow(HUGE_VALF) == infinity);
    CHECK(narrow(-HUGE_VALF) == negative(infinity));
    CHECK(narrow(std::numeric_limits<float>::max()) == infinity);
    std::size_t not_nan = 0;
    for (std::uint32_t bits = infinity + 1U; bits < 0x8000U; ++bits) {
        not_nan += std::isnan(widen(static_cast<std::uint16_t>(bits))) ? 0U : 1U;
        not_nan += std::isnan(widen(negative(bits))) ? 0U : 1U;
    }
    CHECK(not_nan == 0);
    CHECK(std::isnan(widen(narrow(std::numeric_limits<float>::quiet_NaN()))));
}

const std::vector<float> kExample = {-2.0F, -1.0F, -0.5F, 0.0F, 0.25F, 0.75F, 1.5F, 2.0F};

}  // namespace

TEST_CASE("the oracle's half conversion is right for every value and every midpoint", "[oracle]") {
    CHECK(oracle::half_to_float(0x3c00) == 1.0F);
    CHECK(oracle::half_to_float(0x0001) == std::ldexp(1.0F, -24));
    CHECK(oracle::half_to_float(0x0400) == std::ldexp(1.0F, -14));
    CHECK(oracle::half_to_float(0x7bff) == 65504.0F);
    CHECK(std::signbit(oracle::half_to_float(0x8000)));
    CHECK(oracle::float_to_half(65520.0F) == 0x7c00);
    check_every_value_and_midpoint(oracle::half_to_float, oracle::float_to_half, 0x7c00);
}

TEST_CASE("the oracle's bfloat16 conversion is right for every value and every midpoint",
          "[oracle]") {
    // A bfloat16 is the upper half of a float.
    std::size_t wrong = 0;
    for (std::uint32_t bits = 0; bits <= 0x7f80U; ++bits) {
        const std::uint32_t word = bits << 16U;
        float value = 0;
        std::memcpy(&value, &word, sizeof value);
        wrong += oracle::bfloat_to_float(static_cast<std::uint16_t>(bits)) == value ? 0U : 1U;
    }
    CHECK(wrong == 0);
    check_every_value_and_midpoint(oracle::bfloat_to_float, oracle::float_to_bfloat, 0x7f80);
}

TEST_CASE("the oracle's Philox gives the published known answers", "[oracle]") {
    // Random123, kat_vectors, "philox4x32 10".
    using Words = std::array<std::uint32_t, 4>;
    CHECK(oracle::philox({0, 0, 0, 0}, {0, 0}) ==
          Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(oracle::philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                         {0xffffffff, 0xffffffff}) ==
          Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(oracle::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                         {0xa4093822, 0x299f31d0}) ==
          Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("the oracle's uniform numbers are the upper bits of the right Philox word", "[oracle]") {
    const std::uint64_t seed = 0x299f31d0a4093822U;
    const std::uint64_t block = 0x043f6a8885a308d3U;
    const auto words = oracle::philox({0x85a308d3, 0x043f6a88, 0, 0}, {0xa4093822, 0x299f31d0});
    for (std::uint32_t lane = 0; lane < 4; ++lane) {
        CHECK(oracle::uniform(seed, block * 4 + lane) ==
              std::ldexp(static_cast<float>(words[lane] >> 8U), -24));
    }
}

TEST_CASE("the oracle gives the contract's worked examples", "[oracle]") {
    const auto halves = [](const std::vector<float>& values) {
        return oracle::decode(oracle::Element::fp16, oracle::encode(oracle::Element::fp16, values));
    };
    CHECK(halves(oracle::fake_quantize(kExample, {.bits = 4})) ==
          std::vector<float>{-2.0F, -1.0F, -0.5F, 0.0F, 0.25F, 0.75F, 1.5F, 1.75F});
    const std::vector<float> asymmetric =
        oracle::fake_quantize(kExample, {.bits = 4, .asymmetric = true});
    CHECK(asymmetric == std::vector<float>{-2.0F, -0.9999975F, -0.49999624F, 5.0067902e-06F,
                                           0.25000563F, 0.75000691F, 1.5000088F, 2.00001F});
}

TEST_CASE("the oracle poisons a whole group and leaves its neighbours alone", "[oracle]") {
    std::vector<float> values = {1.0F, 2.0F, 3.0F, HUGE_VALF, 5.0F, 6.0F};
    for (const bool asymmetric : {false, true}) {
        const auto result =
            oracle::fake_quantize(values, {.groups = 3, .bits = 8, .asymmetric = asymmetric});
        CHECK(std::isfinite(result[1]));
        CHECK(std::isnan(result[2]));
        CHECK(std::isnan(result[3]));
        CHECK(std::isfinite(result[4]));
    }
    const std::vector<float> wide = {-3e38F, 3e38F};
    CHECK(std::isnan(oracle::fake_quantize(wide, {.bits = 8})[0]));
    CHECK(std::isnan(oracle::fake_quantize(wide, {.bits = 8, .asymmetric = true})[0]));
    const std::vector<float> high = {2.9e38F,
                                     3e38F};  // twice the magnitude overflows, the width does not
    CHECK(std::isnan(oracle::fake_quantize(high, {.bits = 8})[0]));
    CHECK(std::isfinite(oracle::fake_quantize(high, {.bits = 8, .asymmetric = true})[0]));
}

TEST_CASE("the oracle equals every recorded fake quantization bit for bit", "[oracle]") {
    const auto directories = golden_directories();
    if (directories.empty()) {
        std::cout << "SKIPPED: no reference vectors (OPFORGE_GOLDEN_DIR)\n";
        return;
    }
    std::size_t checked = 0;
    for (const auto& directory : directories) {
        for (const golden::Case& of : golden::read_vectors(directory).cases) {
            if (of.op != "ds_quantizer") {
                continue;
            }
            const golden::Tensor& input = golden::input(of, "input");
            const auto element = input.dtype() == "float16"    ? oracle::Element::fp16
                                 : input.dtype() == "bfloat16" ? oracle::Element::bf16
                                                               : oracle::Element::fp32;
            oracle::Settings settings;
            settings.groups = golden::integer(of, "groups");
            settings.bits = static_cast<int>(golden::integer(of, "bits"));
            settings.stochastic = golden::flag(of, "sr");
            settings.asymmetric = golden::flag(of, "asym");
            if (settings.stochastic) {
                settings.seed = golden::unsigned_integer(of, "seed");
                settings.offset = golden::unsigned_integer(of, "offset");
            }
            const auto result = oracle::fake_quantize(element, input.bytes(), settings);
            const golden::Tensor& expected = of.expected.at("output");
            const auto difference =
                golden::first_difference(input.dtype(), expected.bytes(), result);
            INFO(directory << " case " << of.index << " " << of.attributes.dump());
            CHECK_FALSE(difference.has_value());
            ++checked;
        }
    }
    CHECK(checked > 0);
}
