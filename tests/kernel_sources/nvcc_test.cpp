// The kernels are ordinary CUDA: nvcc takes the files as they lie on the disk.
#include "support/child_process.hpp"
#include "support/nvcc.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace opforge;

TEST_CASE("the sources compile under nvcc", "[nvrtc]") {
    const auto nvcc = test::find_nvcc();
    if (!nvcc) {
        return;
    }
    const test::TemporaryDirectory folder;
    const std::string root = KERNEL_SOURCES;
    const std::vector<std::vector<std::string>> kernels = {
        {"_groups"}, {"_block"}, {"_range", "_apply"}};
    for (std::size_t launching = 0; launching < kernels.size(); ++launching) {
        const auto run = test::run_program(
            {*nvcc, "-std=c++17", "-fmad=false", "-arch=sm_90", "-ptx", "-I", root + "/include",
             "-DOPFORGE_ELEMENT=1", "-DOPFORGE_STOCHASTIC=1", "-DOPFORGE_ASYMMETRIC=1",
             "-DOPFORGE_KERNELS=" + std::to_string(launching),
             "-DOPFORGE_PROGRAM=ds_sr_quantize_asym_bf16", root + "/quantizer/fake_quantize.cu",
             "-o", folder.path() / "kernels.ptx"});
        INFO(run.output);
        REQUIRE(run.exit_code == 0);
        const std::string ptx = test::read_file(folder.path() / "kernels.ptx");
        for (const std::string& kernel : kernels[launching]) {
            CHECK(ptx.find(".entry ds_sr_quantize_asym_bf16" + kernel + "(") != std::string::npos);
        }
    }
}
