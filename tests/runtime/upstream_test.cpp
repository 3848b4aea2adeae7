// DeepSpeed's own acceptance test of fake quantization: its sizes, its reference, its tolerances.
// Contract, section 13.
#include "support/oracle.hpp"
#include "sweep.hpp"

#include <opforge/runtime/ds_quantizer.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace oracle = opforge::test::oracle;
namespace runtime = opforge::runtime;
using opforge::Bytes;
using namespace opforge::test;

namespace {

// The reference adds its epsilon to the magnitude, not to the range, and rounds to fp16 at the end.
std::vector<float> reference(const std::vector<float>& values, std::size_t groups, int bits) {
    const auto levels = static_cast<float>(1 << bits);
    const std::size_t n = values.size() / groups;
    std::vector<float> result(values.size());
    for (std::size_t g = 0; g < groups; ++g) {
        float magnitude = 0;
        for (std::size_t i = g * n; i < (g + 1) * n; ++i) {
            magnitude = std::max(magnitude, std::fabs(values[i]));
        }
        const float scale = levels / (2 * (magnitude + 1e-5F));
        for (std::size_t i = g * n; i < (g + 1) * n; ++i) {
            const float code =
                std::clamp(std::nearbyint(values[i] * scale), -levels / 2, levels / 2 - 1);
            result[i] = oracle::half_to_float(oracle::float_to_half(code / scale));
        }
    }
    return result;
}

}  // namespace

TEST_CASE("DeepSpeed's acceptance test of fake quantization passes", "[runtime][upstream]") {
    struct Sizes {
        std::int64_t rows;
        std::int64_t columns;
    };
    for (const Sizes sizes : {Sizes{16, 4096}, Sizes{128, 256}}) {
        for (const std::int64_t groups : {1, 16}) {
            for (const int bits : {8, 4}) {
                SplitMix random(static_cast<std::uint64_t>(sizes.rows + groups + bits));
                std::vector<float> values(static_cast<std::size_t>(sizes.rows * sizes.columns));
                for (float& value : values) {
                    value = random.unit();
                }
                Bytes tensor = oracle::encode(oracle::Element::fp16, values);
                values = oracle::decode(oracle::Element::fp16, tensor);
                runtime::ds_quantize_fp16({tensor.data(), runtime::Dtype::float16,
                                           runtime::Shape{sizes.rows, sizes.columns},
                                           runtime::Device::cpu()},
                                          groups, bits);
                const auto result = oracle::decode(oracle::Element::fp16, tensor);
                const auto expected = reference(values, static_cast<std::size_t>(groups), bits);
                std::size_t far_off = 0;
                for (std::size_t i = 0; i < result.size(); ++i) {
                    // torch.allclose
                    const float bound = 5e-3F + 2e-2F * std::fabs(expected[i]);
                    far_off += std::fabs(result[i] - expected[i]) <= bound ? 0U : 1U;
                }
                CAPTURE(sizes.rows, sizes.columns, groups, bits);
                CHECK(far_off == 0);
                CHECK(result != values);  // something was quantized
            }
        }
    }
}
