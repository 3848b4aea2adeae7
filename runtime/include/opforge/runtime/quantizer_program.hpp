// Which program of the quantizer op carries out a call: names as QuantizerBuilder has them, and a
// place in the module's table.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace opforge::runtime {

enum class Element : std::uint8_t { fp16, bf16, fp32 };
[[nodiscard]] constexpr Element element_of(Dtype dtype) noexcept {
    return dtype == Dtype::float16    ? Element::fp16
           : dtype == Dtype::bfloat16 ? Element::bf16
                                      : Element::fp32;
}

/// A fake-quantization program: dtype, flags and way of launching.
struct OPFORGE_API FakeQuantizeVariant {
    using Element = runtime::Element;
    Element element = Element::fp16;
    bool stochastic = false;
    bool asymmetric = false;
    FakeQuantizeKernel kernel = FakeQuantizeKernel::groups;

    static constexpr std::size_t kFirst = 0;
    static constexpr std::size_t kCount = 96;  // places, not all of them taken
    [[nodiscard]] std::size_t index() const noexcept {
        return ((static_cast<std::size_t>(element) * 2 + (stochastic ? 1U : 0U)) * 2 +
                (asymmetric ? 1U : 0U)) *
                   8 +
               static_cast<std::size_t>(kernel);
    }
    /// "ds_sr_quantize_asym_fp16": the extension's function that the variant carries out.
    [[nodiscard]] std::string function() const;
    /// Whether the first kernel takes dynamic shared memory, as its plan has it.
    [[nodiscard]] bool keeps_in_shared_memory() const noexcept {
        return kernel == FakeQuantizeKernel::block || kernel == FakeQuantizeKernel::cluster ||
               kernel == FakeQuantizeKernel::grid || kernel == FakeQuantizeKernel::few;
    }
    /// "ds_sr_quantize_asym_fp16_groups"
    [[nodiscard]] std::string program() const;
    /// In the order in which they are launched.
    [[nodiscard]] std::vector<std::string> kernels() const;
    [[nodiscard]] static std::vector<FakeQuantizeVariant> all();
};

/// A program of the ops with codes.
struct OPFORGE_API CodesVariant {
    enum class Op : std::uint8_t {
        quantize,  // swizzle_quant too
        loco_swizzle_quant,
        quantized_reduction,
        loco_quantized_reduction,
        dequantize,
        dequantize_experimental,  // one program, of fp16, for both widths
    };
    Op op = Op::quantize;
    Element element = Element::fp16;  // dequantize: of the values
    bool stochastic = false;          // quantize only
    bool asymmetric = false;
    QuantizeKernel kernel = QuantizeKernel::groups;  // not of the dequantizers

    static constexpr std::size_t kFirst = FakeQuantizeVariant::kCount;
    static constexpr std::size_t kCount = 432;  // places, not all of them taken
    [[nodiscard]] std::size_t index() const noexcept {
        return (((static_cast<std::size_t>(op) * 3 + static_cast<std::size_t>(element)) * 2 +
                 (stochastic ? 1U : 0U)) *
                    2 +
                (asymmetric ? 1U : 0U)) *
                   6 +
               static_cast<std::size_t>(kernel);
    }
    /// "sr_quantize_asym_fp16", "dequantize_bf16", "dequantize_experimental"
    [[nodiscard]] std::string function() const;
    /// As of FakeQuantizeVariant.
    [[nodiscard]] bool keeps_in_shared_memory() const noexcept {
        return kernel == QuantizeKernel::cluster;
    }
    /// "sr_quantize_asym_fp16_groups"; a dequantizer's is its function.
    [[nodiscard]] std::string program() const;
    [[nodiscard]] std::vector<std::string> kernels() const;
    [[nodiscard]] static std::vector<CodesVariant> all();
};

}  // namespace opforge::runtime
