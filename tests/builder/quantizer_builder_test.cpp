#include "support/fake_compiler.hpp"

#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/cache/digest.hpp>

#include <catch2/catch.hpp>

#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace opforge;
using namespace opforge::builder;

namespace {

QuantizerBuilder quantizer_in_memory() {
    BuilderContext context;
    context.cache = std::make_shared<cache::Cache>(cache::CacheOptions{std::nullopt, true});
    context.compiler = std::make_shared<test::FakeCompiler>();
    return QuantizerBuilder(context);
}

}  // namespace

TEST_CASE("the quantizer's programs are its functions, each in its ways of launching",
          "[quantizer_builder]") {
    const QuantizerBuilder builder = quantizer_in_memory();
    std::vector<std::string> expected;
    for (const std::string element : {"fp16", "bf16", "fp32"}) {
        for (const std::string function :
             {"ds_quantize_", "ds_quantize_asym_", "ds_sr_quantize_", "ds_sr_quantize_asym_"}) {
            for (const std::string launching :
                 {"_groups", "_block", "_any", "_split", "_cluster", "_grid"}) {
                expected.push_back(function + element + launching);
            }
            if (function.find("_sr_") == std::string::npos) {
                expected.push_back(function + element + "_pairs");
            }
            expected.push_back(function + element + "_few");
        }
    }
    for (const std::string element : {"fp16", "bf16", "fp32"}) {
        for (const std::string type : {"_", "_asym_"}) {
            for (const std::string op : {"quantize", "sr_quantize", "loco_swizzle_quant",
                                         "quantized_reduction", "loco_quantized_reduction"}) {
                for (const std::string launching : {"_groups", "_any", "_split", "_batches"}) {
                    expected.push_back(op + type + element + launching);
                }
                if (op.find("reduction") == std::string::npos) {
                    expected.push_back(op + type + element + "_cluster");
                }
                if (op == "quantize") {
                    expected.push_back(op + type + element + "_small");
                }
            }
            expected.push_back("dequantize" + type + element);
        }
    }
    expected.emplace_back("dequantize_experimental");
    std::vector<std::string> names;
    for (const ProgramSpec& spec : builder.programs()) {
        names.push_back(spec.name);
    }
    CHECK(names == expected);
    CHECK(builder.name() == "quantizer");
    CHECK(builder.sources() ==
          std::vector<std::string>{"quantizer/fake_quantize.cu", "quantizer/quantize.cu",
                                   "quantizer/loco_swizzle_quant.cu",
                                   "quantizer/quantized_reduction.cu", "quantizer/dequantize.cu",
                                   "quantizer/dequantize_experimental.cu"});
}

TEST_CASE("a program's defines and kernels follow its name", "[quantizer_builder]") {
    const auto programs = quantizer_in_memory().programs();
    const auto find = [&](const std::string& name) {
        for (const ProgramSpec& spec : programs) {
            if (spec.name == name) {
                return spec;
            }
        }
        return ProgramSpec{};
    };
    using Defines = std::vector<std::pair<std::string, std::string>>;
    using Names = std::vector<std::string>;
    const ProgramSpec split = find("ds_sr_quantize_asym_bf16_split");
    CHECK(split.defines == Defines{{"OPFORGE_ELEMENT", "1"},
                                   {"OPFORGE_STOCHASTIC", "1"},
                                   {"OPFORGE_ASYMMETRIC", "1"},
                                   {"OPFORGE_KERNELS", "3"},
                                   {"OPFORGE_PROGRAM", "ds_sr_quantize_asym_bf16"}});
    CHECK(split.kernels ==
          Names{"ds_sr_quantize_asym_bf16_range", "ds_sr_quantize_asym_bf16_apply"});
    CHECK(find("ds_quantize_fp16_groups").kernels == Names{"ds_quantize_fp16_groups"});
    CHECK(find("ds_quantize_fp16_block").kernels == Names{"ds_quantize_fp16_block"});
}

TEST_CASE("a program found by its name is the one that the list has", "[quantizer_builder]") {
    const QuantizerBuilder builder = quantizer_in_memory();
    for (const ProgramSpec& spec : builder.programs()) {
        const auto found = builder.program(spec.name);
        REQUIRE(found.has_value());
        CHECK(found->name == spec.name);
        CHECK(found->source == spec.source);
        CHECK(found->defines == spec.defines);
        CHECK(found->kernels == spec.kernels);
    }
    CHECK_FALSE(builder.program("quantize_fp16").has_value());
    CHECK_FALSE(builder.program("").has_value());
}

TEST_CASE("no two of the quantizer's programs are one key", "[quantizer_builder]") {
    const QuantizerBuilder builder = quantizer_in_memory();
    std::set<cache::Digest> wants;
    for (const ProgramSpec& spec : builder.programs()) {
        for (const char* target : {"sm_80", "sm_90", "compute_90"}) {
            wants.insert(cache::want_digest(builder.request(spec, parse_target(target))));
        }
    }
    CHECK(wants.size() == builder.programs().size() * 3);
}

TEST_CASE("every program builds with the options that keep it equal to the host",
          "[quantizer_builder]") {
    const QuantizerBuilder builder = quantizer_in_memory();
    for (const BuildOutcome& outcome : builder.build(parse_target("sm_90"))) {
        CHECK(outcome.error.empty());
    }
    const cache::Request request = builder.request(builder.programs().at(0), parse_target("sm_90"));
    CHECK(request.options == std::vector<std::string>{"--fmad=false", "--ftz=false", "--minimal",
                                                      "--prec-div=true", "--prec-sqrt=true",
                                                      "--std=c++17"});
    CHECK(request.headers.size() >= 7);
}
