#include "tensor_file_writers.hpp"

#include <device_argument.hpp>
#include <quantization_error.hpp>

#include <opforge/base/bytes.hpp>
#include <opforge/base/error.hpp>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include <cmath>
#include <limits>

namespace opforge::test {
namespace {

using runtime::Dtype;

// The nearest half by search over all of them: slow, and plain to see through.
std::uint16_t nearest_half(float value) {
    std::uint16_t best = 0;
    double best_distance = std::numeric_limits<double>::infinity();
    for (std::uint32_t bits = 0; bits < 0x7C00U; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        const double distance =
            std::abs(std::abs(static_cast<double>(value)) - tools::half_to_float(half));
        if (distance < best_distance || (distance == best_distance && bits % 2 == 0)) {
            best = half;
            best_distance = distance;
        }
    }
    return static_cast<std::uint16_t>(best | (std::signbit(value) ? 0x8000U : 0U));
}

TEST_CASE("every half reads back through float", "[tools]") {
    for (std::uint32_t bits = 0; bits <= 0xFFFFU; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        const float value = tools::half_to_float(half);
        if ((bits & 0x7FFFU) > 0x7C00U) {
            REQUIRE(std::isnan(value));
            REQUIRE(std::isnan(tools::half_to_float(tools::float_to_half(value))));
        } else {
            REQUIRE(tools::float_to_half(value) == half);
        }
    }
    CHECK(tools::half_to_float(0x3C00) == 1.0F);
    CHECK(tools::half_to_float(0x0001) == 0x1p-24F);
    CHECK(tools::half_to_float(0xFBFF) == -65504.0F);
    CHECK(std::isinf(tools::half_to_float(0x7C00)));
}

TEST_CASE("a float becomes the nearest half, ties to even", "[tools]") {
    for (const float value : {1.0F + 0x1p-11F, 1.0F + 3 * 0x1p-11F, 0x1p-25F, 3 * 0x1p-25F,
                              0x1.ffcp-15F, 0x1.fffp-15F, 65503.0F, 65519.9F, -0.1F, 0.3333F}) {
        CHECK(tools::float_to_half(value) == nearest_half(value));
    }
    CHECK(tools::float_to_half(65520.0F) == 0x7C00);
    CHECK(tools::float_to_half(-1e30F) == 0xFC00);
}

TEST_CASE("the error of known tensors is what paper says", "[tools]") {
    const std::string before = as_floats({3.0F, -4.0F, 0.0F});
    const std::string after = as_floats({3.5F, -4.0F, 0.0F});
    const auto error = tools::measure_error(Dtype::float32, as_bytes(before), as_bytes(after), 1);
    CHECK(error.signal == 25.0);
    CHECK(error.noise == 0.25);
    CHECK(error.worst == 0.5);
    CHECK(error.snr_db() == Approx(20.0));
    CHECK(error.not_finite == 0);
}

TEST_CASE("elements that are not finite are counted and left out", "[tools]") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinity = std::numeric_limits<float>::infinity();
    const std::string before = as_halves({1.0F, nan, infinity, 2.0F});
    const std::string after = as_halves({1.5F, nan, nan, nan});
    const auto error = tools::measure_error(Dtype::float16, as_bytes(before), as_bytes(after), 1);
    CHECK(error.elements == 4);
    CHECK(error.not_finite == 3);
    CHECK(error.worst == 0.5);
}

TEST_CASE("without noise or without signal there is no ratio", "[tools]") {
    const std::string zeros = as_floats({0.0F, 0.0F});
    const std::string ones = as_floats({1.0F, 1.0F});
    const auto between = [](const std::string& a, const std::string& b) {
        return tools::measure_error(Dtype::float32, as_bytes(a), as_bytes(b), 1).snr_db();
    };
    CHECK_FALSE(between(ones, ones));
    CHECK_FALSE(between(zeros, ones));
}

TEST_CASE("bfloat16 is the upper half of a float", "[tools]") {
    const std::string before = {'\x80', '\x3f', '\x00', '\x40'};  // 1, 2
    const std::string after = {'\x80', '\x3f', '\x40', '\x40'};   // 1, 3
    const auto error = tools::measure_error(Dtype::bfloat16, as_bytes(before), as_bytes(after), 1);
    CHECK(error.signal == 5.0);
    CHECK(error.worst == 1.0);
}

TEST_CASE("the sums do not depend on the number of threads", "[tools]") {
    const std::string before = as_floats(sample_values(700'001));
    std::vector<float> changed = sample_values(700'001);
    for (std::size_t i = 0; i < changed.size(); i += 3) {
        changed[i] += 0.001F;
    }
    const std::string after = as_floats(changed);
    const auto one = tools::measure_error(Dtype::float32, as_bytes(before), as_bytes(after), 1);
    const auto four = tools::measure_error(Dtype::float32, as_bytes(before), as_bytes(after), 4);
    CHECK(one.noise == four.noise);
    CHECK(one.signal == four.signal);
    CHECK(one.elements == 700'001);
    CHECK(four.elements == 700'001);
}

TEST_CASE("other dtypes and sides of different lengths are refused", "[tools]") {
    const std::string four = "1234";
    CHECK_THROWS_AS(tools::measure_error(Dtype::int32, as_bytes(four), as_bytes(four), 1),
                    InvalidArgument);
    CHECK_THROWS_AS(
        tools::measure_error(Dtype::float32, as_bytes(four), as_bytes(four).first(0), 1),
        InvalidArgument);
}

TEST_CASE("devices are cpu, cuda or cuda:N", "[tools]") {
    CHECK(tools::parse_device("cpu") == runtime::Device::cpu());
    CHECK(tools::parse_device("cuda") == runtime::Device::cuda(0));
    CHECK(tools::parse_device("cuda:12") == runtime::Device::cuda(12));
    CHECK(tools::to_string(runtime::Device::cuda(3)) == "cuda:3");
    for (const char* text : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda: 1",
                             "cuda:99999999999", "CPU", "cpu:0"}) {
        INFO(text);
        CHECK_THROWS_AS(tools::parse_device(text), InvalidArgument);
    }
}

}  // namespace
}  // namespace opforge::test
