#include "ops.hpp"

#include "runners.hpp"

#include <array>
#include <utility>

namespace opforge::golden {

namespace {

constexpr std::array<std::pair<std::string_view, Runner>, 9> kRunners{{
    {"ds_quantizer", run_ds_quantizer},
    {"quantize", run_quantize},
    {"dequantize", run_dequantize},
    {"dequantize_int4_to_half_experimental", run_dequantize_int4_experimental},
    {"dequantize_int8_to_half_experimental", run_dequantize_int8_experimental},
    {"swizzle_quant", run_swizzle_quant},
    {"loco_swizzle_quant", run_loco_swizzle_quant},
    {"quantized_reduction", run_quantized_reduction},
    {"loco_quantized_reduction", run_loco_quantized_reduction},
}};

}  // namespace

Runner find_runner(std::string_view op) noexcept {
    for (const auto& [name, runner] : kRunners) {
        if (name == op) {
            return runner;
        }
    }
    return nullptr;
}

}  // namespace opforge::golden
