// DeepSpeed's own acceptance tests of quantize, dequantize and LoCo's two steps: their sizes and
// tolerances. Contract, section 13.
#include "host_ops.hpp"

#include "support/oracle_ops.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace oracle = opforge::test::oracle;
using opforge::Bytes;
using oracle::Element;
using namespace opforge::test;

namespace {

// The sum of absolute errors that plain fp32 arithmetic makes.
double reference_error(const std::vector<float>& values, std::size_t groups, int bits,
                       bool asymmetric) {
    const auto levels = static_cast<float>(1 << bits);
    const std::size_t n = values.size() / groups;
    double sum = 0;
    for (std::size_t g = 0; g < groups; ++g) {
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(g * n);
        const auto [low, high] = std::minmax_element(begin, begin + static_cast<std::ptrdiff_t>(n));
        const float offset = asymmetric ? (*high + *low) / 2 : 0.0F;
        const float range =
            asymmetric ? *high - *low : 2 * std::max(std::fabs(*low), std::fabs(*high));
        const float scale = range == 0 ? 1.0F : levels / range;
        for (std::size_t i = g * n; i < (g + 1) * n; ++i) {
            const float code = std::clamp(std::nearbyint((values[i] - offset) * scale), -levels / 2,
                                          levels / 2 - 1);
            sum += std::fabs(double{code / scale + offset} - double{values[i]});
        }
    }
    return sum;
}

std::vector<float> halves(const Bytes& tensor) {
    return oracle::decode(Element::fp16, tensor);
}

Bytes random_halves(std::uint64_t seed, std::size_t count, float scale) {
    SplitMix random(seed);
    std::vector<float> values(count);
    for (float& value : values) {
        value = random.normal() * scale;
    }
    return oracle::encode(Element::fp16, values);
}

// torch.allclose of a + b and c + d, with its defaults, all in fp16.
std::size_t far_off(const Bytes& a, const Bytes& b, const Bytes& c, const Bytes& d) {
    const auto sum = [](const Bytes& left, const Bytes& right) {
        auto values = halves(left);
        const auto others = halves(right);
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] += others[i];
        }
        return halves(oracle::encode(Element::fp16, values));
    };
    const auto left = sum(a, b);
    const auto right = sum(c, d);
    std::size_t count = 0;
    for (std::size_t i = 0; i < left.size(); ++i) {
        count += std::fabs(left[i] - right[i]) <= 1e-8F + 1e-5F * std::fabs(right[i]) ? 0U : 1U;
    }
    return count;
}

}  // namespace

TEST_CASE("DeepSpeed's acceptance test of quantize and dequantize passes", "[runtime][upstream]") {
    constexpr std::size_t kMost = 512 * 16384;
    const Bytes all = random_halves(1, kMost, 1.0F);
    for (const std::int64_t groups : {1, 13, 512}) {
        for (const std::int64_t n : {8, 16, 32, 64, 128, 256, 4096, 8192, 12288, 16384}) {
            // The largest tensors are most of the time and say what the smaller ones say: one
            // setting each.
            const bool large = groups * n > 1000000;
            const Bytes tensor(all.begin(), all.begin() + groups * n * 2);
            const auto values = halves(tensor);
            for (const bool asymmetric : {false, true}) {
                for (const int bits : {4, 8}) {
                    if (large && (bits == 8) != (asymmetric == (n % 8192 == 0))) {
                        continue;
                    }
                    const HostCoding coding{Element::fp16, bits, asymmetric};
                    const auto result = halves(dequantize_on_host(
                        coding, quantize_on_host(coding, tensor, groups), groups));
                    double error = 0;
                    for (std::size_t i = 0; i < values.size(); ++i) {
                        error += std::fabs(double{result[i]} - double{values[i]});
                    }
                    const double reference =
                        reference_error(values, static_cast<std::size_t>(groups), bits, asymmetric);
                    CAPTURE(groups, n, asymmetric, bits, error, reference);
                    CHECK(std::isfinite(error));
                    CHECK(error <= 1.05 * reference);
                }
            }
        }
    }
}

TEST_CASE("zeros come back from quantize and dequantize as zeros", "[runtime][upstream]") {
    for (const std::int64_t groups : {1, 13, 512}) {
        for (const bool asymmetric : {false, true}) {
            for (const int bits : {4, 8}) {
                const HostCoding coding{Element::fp16, bits, asymmetric};
                const Bytes tensor(static_cast<std::size_t>(groups) * 256 * 2);
                CHECK(dequantize_on_host(coding, quantize_on_host(coding, tensor, groups),
                                         groups) == tensor);
            }
        }
    }
}

TEST_CASE("DeepSpeed's acceptance test of LoCo passes after either step", "[runtime][upstream]") {
    for (const std::int64_t side : {16, 64}) {
        for (const std::int64_t devices : {4, 8}) {
            for (const int bits : {4, 8}) {
                CAPTURE(side, devices, bits);
                const HostCoding coding{Element::fp16, bits, false};
                const std::int64_t groups = std::max(side, 2 * devices);
                const auto elements = static_cast<std::size_t>(side * side);
                const Bytes tensor = random_halves(3, elements, 1.0F);
                const Bytes error = random_halves(5, elements, 0.1F);
                const HostPartition by{1, 2, devices};

                const Coded first = swizzle_on_host(coding, tensor, groups, by, error, 0.0F);
                Bytes permuted(tensor.size());
                const auto positions = oracle::swizzled_positions(groups, {1, 2, devices});
                const std::size_t group_bytes = tensor.size() / positions.size();
                for (std::size_t g = 0; g < positions.size(); ++g) {
                    std::copy_n(
                        tensor.begin() + static_cast<std::ptrdiff_t>(g * group_bytes), group_bytes,
                        permuted.begin() + static_cast<std::ptrdiff_t>(positions[g] * group_bytes));
                }
                CHECK(far_off(permuted, error, dequantize_on_host(coding, first, groups),
                              first.error) == 0);

                // As if every device had sent its part of the same tensor.
                const auto device_elements = elements / static_cast<std::size_t>(devices);
                const auto decoded = halves(dequantize_on_host(coding, first, groups));
                std::vector<float> sums(device_elements);
                for (std::size_t i = 0; i < decoded.size(); ++i) {
                    float& sum = sums[i % device_elements];
                    sum = oracle::half_to_float(oracle::float_to_half(sum + decoded[i]));
                }
                const Bytes second_error = random_halves(7, device_elements, 0.1F);
                const std::int64_t out_groups = groups / devices;
                const Coded second = reduce_on_host(coding, first, {groups, out_groups, devices},
                                                    second_error, 0.0F);
                CHECK(far_off(oracle::encode(Element::fp16, sums), second_error,
                              dequantize_on_host(coding, second, out_groups), second.error) == 0);
            }
        }
    }
}
