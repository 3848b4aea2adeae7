#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/embedded/opforge_kernel_sources.hpp>

#include <array>
#include <string_view>
#include <utility>

namespace opforge::builder {
namespace {

constexpr std::array<const char*, 3> kElements = {"fp16", "bf16", "fp32"};
constexpr std::array<const char*, 2> kFlag = {"0", "1"};

/// A program before its strings are made: a warm start goes through all of them to find one.
struct Recipe {
    struct Define {
        const char* name = nullptr;
        const char* value = nullptr;
    };
    std::string function;   // what its kernels' names begin with
    const char* launching;  // what the program's name ends with: "", "_groups", "_block", ...
    const char* source;
    std::array<Define, 4> defines;  // OPFORGE_PROGRAM apart; unused ones have no name
    int expected_milliseconds;      // by NVRTC 13.0 for sm_90, on one core of a Xeon

    [[nodiscard]] bool is_named(std::string_view name) const {
        return name.starts_with(function) && name.substr(function.size()) == launching;
    }
    [[nodiscard]] ProgramSpec spec() const {
        ProgramSpec result;
        result.name = function + launching;
        result.source = source;
        for (const Define& define : defines) {
            if (define.name != nullptr) {
                result.defines.emplace_back(define.name, define.value);
            }
        }
        result.defines.emplace_back("OPFORGE_PROGRAM", function);
        result.expected_milliseconds = expected_milliseconds;
        const std::string_view way = launching;
        if (way == "_split") {
            result.kernels = {function + "_range", function + "_apply"};
        } else {
            result.kernels = {function + (way.empty() ? "_slices" : launching)};
        }
        return result;
    }
};

/// `act` says whether to go on.
using Act = bool (*)(void* state, const Recipe& recipe);

struct Visitor {
    void* state;
    Act act;
    bool operator()(const Recipe& recipe) const { return act(state, recipe); }
};

bool visit_fake_quantize(const Visitor& visit) {
    constexpr std::array<const char*, 8> kLaunchings = {"_groups",  "_block", "_any",   "_split",
                                                        "_cluster", "_grid",  "_pairs", "_few"};
    constexpr std::array<const char*, 8> kNumbers = {"0", "1", "2", "3", "4", "5", "6", "7"};
    constexpr std::size_t kPairs = 6;  // of nearest rounding only
    constexpr std::array<std::array<int, 8>, 2> kMilliseconds = {
        {{55, 75, 85, 110, 120, 120, 65, 85},
         {90, 95, 125, 150, 100, 110, 0, 105}}};  // nearest, stochastic
    for (std::size_t element = 0; element < kElements.size(); ++element) {
        for (const std::size_t stochastic : {0U, 1U}) {
            for (const std::size_t asymmetric : {0U, 1U}) {
                std::string function = stochastic != 0 ? "ds_sr_quantize" : "ds_quantize";
                function += asymmetric != 0 ? "_asym_" : "_";
                function += kElements.at(element);
                for (std::size_t launching = 0; launching < kLaunchings.size(); ++launching) {
                    if (launching == kPairs && stochastic != 0) {
                        continue;
                    }
                    if (!visit({function,
                                kLaunchings.at(launching),
                                "quantizer/fake_quantize.cu",
                                {{{"OPFORGE_ELEMENT", kNumbers.at(element)},
                                  {"OPFORGE_STOCHASTIC", kFlag.at(stochastic)},
                                  {"OPFORGE_ASYMMETRIC", kFlag.at(asymmetric)},
                                  {"OPFORGE_KERNELS", kNumbers.at(launching)}}},
                                kMilliseconds.at(stochastic).at(launching)})) {
                        return false;
                    }
                }
            }
        }
    }
    return true;
}

struct CodesOp {
    const char* name;
    const char* source;
    Recipe::Define define;   // the op's own
    int milliseconds;        // in each way of launching, within a fifth
    std::size_t launchings;  // of those of visit_codes
};

constexpr std::array<CodesOp, 5> kQuantizing = {
    {{"quantize", "quantizer/quantize.cu", {"OPFORGE_STOCHASTIC", "0"}, 125, 6},
     {"sr_quantize", "quantizer/quantize.cu", {"OPFORGE_STOCHASTIC", "1"}, 145, 5},
     {"loco_swizzle_quant", "quantizer/loco_swizzle_quant.cu", {}, 165, 5},
     {"quantized_reduction", "quantizer/quantized_reduction.cu", {"OPFORGE_FEEDBACK", "0"}, 200, 4},
     {"loco_quantized_reduction",
      "quantizer/quantized_reduction.cu",
      {"OPFORGE_FEEDBACK", "1"},
      275,
      4}}};

bool visit_codes(const Visitor& visit) {
    constexpr std::array<const char*, 6> kLaunchings = {"_groups",  "_any",     "_split",
                                                        "_batches", "_cluster", "_small"};
    constexpr std::array<const char*, 6> kNumbers = {"0", "1", "2", "3", "4", "5"};
    for (std::size_t element = 0; element < kElements.size(); ++element) {
        for (const std::size_t asymmetric : {0U, 1U}) {
            std::string suffix = asymmetric != 0 ? "_asym_" : "_";
            suffix += kElements.at(element);
            const Recipe::Define of_element{"OPFORGE_ELEMENT", kNumbers.at(element)};
            const Recipe::Define of_type{"OPFORGE_ASYMMETRIC", kFlag.at(asymmetric)};
            for (const CodesOp& op : kQuantizing) {
                const std::string function = op.name + suffix;
                for (std::size_t launching = 0; launching < op.launchings; ++launching) {
                    if (!visit({function,
                                kLaunchings.at(launching),
                                op.source,
                                {{of_element,
                                  of_type,
                                  op.define,
                                  {"OPFORGE_KERNELS", kNumbers.at(launching)}}},
                                op.milliseconds})) {
                        return false;
                    }
                }
            }
            if (!visit({"dequantize" + suffix,
                        "",
                        "quantizer/dequantize.cu",
                        {{of_element, of_type, {}, {}}},
                        75})) {
                return false;
            }
        }
    }
    return visit({"dequantize_experimental", "", "quantizer/dequantize_experimental.cu", {}, 100});
}

void visit_all(const Visitor& visit) {
    if (visit_fake_quantize(visit)) {
        visit_codes(visit);
    }
}

}  // namespace

std::string QuantizerBuilder::name() const {
    return "quantizer";
}

std::vector<ProgramSpec> QuantizerBuilder::programs() const {
    std::vector<ProgramSpec> specs;
    visit_all({&specs, [](void* state, const Recipe& recipe) {
                   static_cast<std::vector<ProgramSpec>*>(state)->push_back(recipe.spec());
                   return true;
               }});
    return specs;
}

std::optional<ProgramSpec> QuantizerBuilder::program(std::string_view name) const {
    struct Search {
        std::string_view name;
        std::optional<ProgramSpec> found;
    } search{name, std::nullopt};
    visit_all({&search, [](void* state, const Recipe& recipe) {
                   auto& wanted = *static_cast<Search*>(state);
                   if (recipe.is_named(wanted.name)) {
                       wanted.found = recipe.spec();
                   }
                   return !wanted.found.has_value();
               }});
    return std::move(search.found);
}

CompileOptions QuantizerBuilder::compile_options() const {
    CompileOptions options;
    options.minimal = true;
    return options;
}

const EmbeddedSources& QuantizerBuilder::embedded() const {
    return kernel_sources::quantizer();
}

}  // namespace opforge::builder
