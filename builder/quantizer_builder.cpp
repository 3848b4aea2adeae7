#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/embedded/opforge_kernel_sources.hpp>

#include <fmt/format.h>

namespace opforge::builder {
namespace {

constexpr const char* kFakeQuantize = "quantizer/fake_quantize.cu";

ProgramSpec fake_quantize(std::size_t element, bool stochastic, bool asymmetric) {
    constexpr const char* kElements[] = {"fp16", "bf16", "fp32"};
    ProgramSpec spec;
    spec.name = fmt::format("ds_{}quantize{}_{}", stochastic ? "sr_" : "",
                            asymmetric ? "_asym" : "", kElements[element]);
    spec.source = kFakeQuantize;
    spec.defines = {{"OPFORGE_ELEMENT", std::to_string(element)},
                    {"OPFORGE_STOCHASTIC", stochastic ? "1" : "0"},
                    {"OPFORGE_ASYMMETRIC", asymmetric ? "1" : "0"},
                    {"OPFORGE_PROGRAM", spec.name}};
    for (const char* kernel : {"groups", "block", "range", "apply"}) {
        spec.kernels.push_back(fmt::format("{}_{}", spec.name, kernel));
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
                specs.push_back(fake_quantize(element, stochastic, asymmetric));
            }
        }
    }
    return specs;
}

const EmbeddedSources& QuantizerBuilder::embedded() const {
    return kernel_sources::quantizer();
}

}  // namespace opforge::builder
