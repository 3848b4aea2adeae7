#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/embedded/opforge_kernel_sources.hpp>

#include <fmt/format.h>

namespace opforge::builder {
namespace {

constexpr const char* kFakeQuantize = "quantizer/fake_quantize.cu";

// The ways of launching, as OPFORGE_KERNELS numbers them: a program's suffix and its kernels' own.
struct Launching {
    const char* program;
    std::vector<const char*> kernels;
};
const std::vector<Launching>& launchings() {
    static const std::vector<Launching> all = {
        {"groups", {"groups"}}, {"block", {"block"}}, {"split", {"range", "apply"}}};
    return all;
}

ProgramSpec fake_quantize(std::size_t element, bool stochastic, bool asymmetric,
                          std::size_t launching) {
    constexpr const char* kElements[] = {"fp16", "bf16", "fp32"};
    const std::string function = fmt::format("ds_{}quantize{}_{}", stochastic ? "sr_" : "",
                                             asymmetric ? "_asym" : "", kElements[element]);
    ProgramSpec spec;
    spec.name = fmt::format("{}_{}", function, launchings()[launching].program);
    spec.source = kFakeQuantize;
    spec.defines = {{"OPFORGE_ELEMENT", std::to_string(element)},
                    {"OPFORGE_STOCHASTIC", stochastic ? "1" : "0"},
                    {"OPFORGE_ASYMMETRIC", asymmetric ? "1" : "0"},
                    {"OPFORGE_KERNELS", std::to_string(launching)},
                    {"OPFORGE_PROGRAM", function}};
    for (const char* kernel : launchings()[launching].kernels) {
        spec.kernels.push_back(fmt::format("{}_{}", function, kernel));
    }
    return spec;
}

}  // namespace

std::string QuantizerBuilder::name() const {
    return "quantizer";
}

std::vector<ProgramSpec> QuantizerBuilder::programs() const {
    std::vector<ProgramSpec> specs;
    for (std::size_t element = 0; element < 3; ++element) {
        for (const bool stochastic : {false, true}) {
            for (const bool asymmetric : {false, true}) {
                for (std::size_t launching = 0; launching < launchings().size(); ++launching) {
                    specs.push_back(fake_quantize(element, stochastic, asymmetric, launching));
                }
            }
        }
    }
    return specs;
}

const EmbeddedSources& QuantizerBuilder::embedded() const {
    return kernel_sources::quantizer();
}

}  // namespace opforge::builder
