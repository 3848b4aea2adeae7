#include <opforge/runtime/quantizer_program.hpp>

#include <fmt/format.h>

#include <array>

namespace opforge::runtime {
namespace {

constexpr std::array kElements = {Element::fp16, Element::bf16, Element::fp32};
constexpr std::array<const char*, 3> kElementNames = {"fp16", "bf16", "fp32"};

/// A dequantizer has one kernel; what it is called does not show. Clusters are for what reads a
/// tensor, and small groups' kernel for what does nothing else.
bool has_kernel(CodesVariant::Op op, bool stochastic, QuantizeKernel kernel) {
    using Op = CodesVariant::Op;
    switch (kernel) {
    case QuantizeKernel::groups:
        return true;
    case QuantizeKernel::cluster:
        return op == Op::quantize || op == Op::loco_swizzle_quant;
    case QuantizeKernel::small:
        return op == Op::quantize && !stochastic;
    default:
        return op != Op::dequantize;
    }
}

const char* name_of(Element element) {
    return kElementNames.at(static_cast<std::size_t>(element));
}

}  // namespace

std::string FakeQuantizeVariant::function() const {
    return fmt::format("ds_{}quantize{}_{}", stochastic ? "sr_" : "", asymmetric ? "_asym" : "",
                       name_of(element));
}

std::string FakeQuantizeVariant::program() const {
    constexpr std::array<const char*, 8> kLaunchings = {"groups",  "block", "any",   "split",
                                                        "cluster", "grid",  "pairs", "few"};
    return fmt::format("{}_{}", function(), kLaunchings.at(static_cast<std::size_t>(kernel)));
}

std::vector<std::string> FakeQuantizeVariant::kernels() const {
    if (kernel == FakeQuantizeKernel::split) {
        return {function() + "_range", function() + "_apply"};
    }
    return {program()};
}

std::vector<FakeQuantizeVariant> FakeQuantizeVariant::all() {
    std::vector<FakeQuantizeVariant> variants;
    for (const Element element : kElements) {
        for (const bool stochastic : {false, true}) {
            for (const bool asymmetric : {false, true}) {
                for (const FakeQuantizeKernel kernel :
                     {FakeQuantizeKernel::groups, FakeQuantizeKernel::block,
                      FakeQuantizeKernel::any, FakeQuantizeKernel::split,
                      FakeQuantizeKernel::cluster, FakeQuantizeKernel::grid,
                      FakeQuantizeKernel::pairs, FakeQuantizeKernel::few}) {
                    if (kernel != FakeQuantizeKernel::pairs || !stochastic) {
                        variants.push_back({.element = element,
                                            .stochastic = stochastic,
                                            .asymmetric = asymmetric,
                                            .kernel = kernel});
                    }
                }
            }
        }
    }
    return variants;
}

std::string CodesVariant::function() const {
    constexpr std::array<const char*, 6> kOps = {
        "quantize",   "loco_swizzle_quant",     "quantized_reduction", "loco_quantized_reduction",
        "dequantize", "dequantize_experimental"};
    const char* const name = kOps.at(static_cast<std::size_t>(op));
    if (op == Op::dequantize_experimental) {
        return name;
    }
    return fmt::format("{}{}{}_{}", stochastic ? "sr_" : "", name, asymmetric ? "_asym" : "",
                       name_of(element));
}

std::string CodesVariant::program() const {
    if (op == Op::dequantize || op == Op::dequantize_experimental) {
        return function();
    }
    constexpr std::array<const char*, 6> kLaunchings = {"groups",  "any",     "split",
                                                        "batches", "cluster", "small"};
    return fmt::format("{}_{}", function(), kLaunchings.at(static_cast<std::size_t>(kernel)));
}

std::vector<std::string> CodesVariant::kernels() const {
    if (op == Op::dequantize || op == Op::dequantize_experimental) {
        return {function() + "_slices"};
    }
    if (kernel == QuantizeKernel::split) {
        return {function() + "_range", function() + "_apply"};
    }
    return {program()};
}

std::vector<CodesVariant> CodesVariant::all() {
    std::vector<CodesVariant> variants;
    for (const Op op : {Op::quantize, Op::loco_swizzle_quant, Op::quantized_reduction,
                        Op::loco_quantized_reduction, Op::dequantize}) {
        for (const Element element : kElements) {
            for (const bool stochastic : {false, true}) {
                if (stochastic && op != Op::quantize) {
                    continue;
                }
                for (const bool asymmetric : {false, true}) {
                    for (const QuantizeKernel kernel :
                         {QuantizeKernel::groups, QuantizeKernel::any, QuantizeKernel::split,
                          QuantizeKernel::batches, QuantizeKernel::cluster,
                          QuantizeKernel::small}) {
                        if (has_kernel(op, stochastic, kernel)) {
                            variants.push_back({.op = op,
                                                .element = element,
                                                .stochastic = stochastic,
                                                .asymmetric = asymmetric,
                                                .kernel = kernel});
                        }
                    }
                }
            }
        }
    }
    variants.push_back({.op = Op::dequantize_experimental});
    return variants;
}

}  // namespace opforge::runtime
