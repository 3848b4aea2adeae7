// What one process of the start-up benchmark does. Each function does its work once and returns
// what it took, in microseconds, under the names that startup.cpp's table has.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace opforge::bench {

/// The program whose first use is measured: what ds_quantizer takes for 256 groups of 256 values.
inline constexpr const char* kProgram = "ds_quantize_fp16_groups";

struct StartupTask {
    int device = 0;
    std::string target;           // "sm_90"
    std::filesystem::path nvrtc;  // for raw_compile
    std::filesystem::path cubin;  // for raw_load
};

/// Not timed: whether there is a GPU, its target, the versions, the NVRTC that opforge would take.
[[nodiscard]] nlohmann::json probe(const StartupTask& task);

/// dlopen of libcuda, cuInit and a primary context made current; nothing of opforge.
[[nodiscard]] nlohmann::json measure_context(const StartupTask& task);
/// The same, then the first and the second ds_quantizer of the process, on the current context.
[[nodiscard]] nlohmann::json measure_first_op(const StartupTask& task);
/// A context, then what a first op does before its launch, step by step.
[[nodiscard]] nlohmann::json measure_steps(const StartupTask& task);
/// A context, then cuLibraryLoadData of a cubin in memory and the handles of its kernels.
[[nodiscard]] nlohmann::json measure_raw_load(const StartupTask& task);
/// dlopen of libnvrtc, then one compile of the same program with the same options.
[[nodiscard]] nlohmann::json measure_raw_compile(const StartupTask& task);
/// QuantizerBuilder::build_program: needs no GPU.
[[nodiscard]] nlohmann::json measure_build(const StartupTask& task);

}  // namespace opforge::bench
