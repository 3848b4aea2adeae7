// Compiling and loading ahead of the first call: for services, and before a CUDA graph is captured.
#pragma once

#include <opforge/base/export.hpp>

#include <functional>
#include <future>
#include <stop_token>
#include <string>
#include <vector>

namespace opforge::runtime {

struct WarmUpProgress {
    std::size_t done = 0;
    std::size_t total = 0;
    std::string program;  // the one just finished
    std::string origin;   // "memory", "user_directory", "compiled"
};

struct WarmUpOptions {
    /// Functions ("ds_quantize_fp16": its three programs) or programs ("ds_quantize_fp16_groups");
    /// empty: every program.
    std::vector<std::string> programs;
    std::vector<int> devices;  // empty: every device present
    std::stop_token stop;      // asked between programs
    std::function<void(const WarmUpProgress&)> progress;
};

/// Loads the programs on the devices, compiling what the cache lacks. Returns how many are ready
/// (fewer than asked for only after a stop). @throws as OpBuilder::load_program, InvalidArgument
/// for an unknown program
OPFORGE_API std::size_t warm_up(const WarmUpOptions& options = {});
/// The same on a thread of its own; the future holds the count or the exception.
[[nodiscard]] OPFORGE_API std::future<std::size_t>
warm_up_in_background(WarmUpOptions options = {});

}  // namespace opforge::runtime
