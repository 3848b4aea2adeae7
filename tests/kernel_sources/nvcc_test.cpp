// The kernels are ordinary CUDA: nvcc takes the files as they lie on the disk.
#include "support/child_process.hpp"
#include "support/nvcc.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace opforge;

namespace {

struct Program {
    std::string source;
    std::string name;
    std::vector<std::string> defines;
    std::vector<std::string> kernels;
};

// One program of each source and way of launching.
std::vector<Program> programs() {
    std::vector<Program> all;
    const std::vector<std::vector<std::string>> fake_kernels = {
        {"_groups"}, {"_block"}, {"_any"}, {"_range", "_apply"}, {"_cluster"}, {"_grid"}};
    for (std::size_t launching = 0; launching < fake_kernels.size(); ++launching) {
        all.push_back({"fake_quantize.cu",
                       "ds_sr_quantize_asym_bf16",
                       {"OPFORGE_STOCHASTIC=1", "OPFORGE_KERNELS=" + std::to_string(launching)},
                       fake_kernels[launching]});
    }
    all.push_back({"fake_quantize.cu",
                   "ds_quantize_asym_bf16",
                   {"OPFORGE_STOCHASTIC=0", "OPFORGE_KERNELS=6"},
                   {"_pairs"}});
    for (const char* const stochastic : {"0", "1"}) {
        all.push_back({"fake_quantize.cu",
                       "ds_quantize_asym_bf16",
                       {std::string("OPFORGE_STOCHASTIC=") + stochastic, "OPFORGE_KERNELS=7"},
                       {"_few"}});
    }
    // As a compiler before 12.1 has clusters.
    all.push_back({"fake_quantize.cu",
                   "ds_quantize_asym_bf16",
                   {"OPFORGE_STOCHASTIC=0", "OPFORGE_KERNELS=4", "OPFORGE_COUNTED_STORES=0"},
                   {"_cluster"}});
    const std::vector<std::vector<std::string>> codes_kernels = {
        {"_groups"}, {"_any"}, {"_range", "_apply"}, {"_batches"}, {"_cluster"}};
    for (std::size_t launching = 0; launching < codes_kernels.size(); ++launching) {
        const std::vector<std::string>& kernels = codes_kernels[launching];
        const std::string way = "OPFORGE_KERNELS=" + std::to_string(launching);
        all.push_back(
            {"quantize.cu", "sr_quantize_asym_bf16", {"OPFORGE_STOCHASTIC=1", way}, kernels});
        all.push_back({"loco_swizzle_quant.cu", "loco_swizzle_quant_asym_bf16", {way}, kernels});
        if (kernels.front() != "_cluster") {
            all.push_back({"quantized_reduction.cu",
                           "loco_quantized_reduction_asym_bf16",
                           {"OPFORGE_FEEDBACK=1", way},
                           kernels});
        }
    }
    all.push_back({"quantize.cu",
                   "quantize_asym_bf16",
                   {"OPFORGE_STOCHASTIC=0", "OPFORGE_KERNELS=5"},
                   {"_small"}});
    all.push_back({"dequantize.cu", "dequantize_asym_bf16", {}, {"_slices"}});
    all.push_back({"dequantize_experimental.cu", "dequantize_experimental", {}, {"_slices"}});
    return all;
}

}  // namespace

TEST_CASE("the sources compile under nvcc", "[nvrtc]") {
    const auto nvcc = test::find_nvcc();
    if (!nvcc) {
        return;
    }
    const test::TemporaryDirectory folder;
    const std::string root = KERNEL_SOURCES;
    for (const Program& program : programs()) {
        std::vector<std::string> command = {
            *nvcc,  "-std=c++17", "-fmad=false",     "-arch=sm_90",
            "-ptx", "-I",         root + "/include", "-DOPFORGE_PROGRAM=" + program.name};
        if (program.source != "dequantize_experimental.cu") {
            command.insert(command.end(), {"-DOPFORGE_ELEMENT=1", "-DOPFORGE_ASYMMETRIC=1"});
        }
        for (const std::string& define : program.defines) {
            command.push_back("-D" + define);
        }
        command.insert(command.end(), {root + "/quantizer/" + program.source, "-o",
                                       folder.path() / "kernels.ptx"});
        const auto run = test::run_program(command);
        INFO(run.output);
        REQUIRE(run.exit_code == 0);
        const std::string ptx = test::read_file(folder.path() / "kernels.ptx");
        for (const std::string& kernel : program.kernels) {
            CHECK(ptx.find(".entry " + program.name + kernel + "(") != std::string::npos);
        }
    }
}
