// Where NVRTC is looked for, and why each place was taken or not.
// Order: OPFORGE_NVRTC_LIBRARY (authoritative: nothing else is tried), CUDA_PATH then CUDA_HOME (a
// warning where they differ), the toolkit's usual places; on a miss also Python wheel folders under
// VIRTUAL_ENV, CONDA_PREFIX and the usual site directories, then the loader's own search for the
// soname.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/compiler.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace opforge::builder {

struct NvrtcCandidate {
    std::filesystem::path library;   // absolute path of libnvrtc
    std::filesystem::path builtins;  // the libnvrtc-builtins beside it; empty where there is none
    std::string found_via;  // "OPFORGE_NVRTC_LIBRARY", "CUDA_PATH", "/usr/local/cuda", "wheel",
                            // "loader", ...
    int major = 0;
    int minor = 0;  // from the builtins' file name
    bool usable = false;
    std::string reason;       // why not, or "" where usable
    std::string fingerprint;  // filled for usable candidates
};

struct OPFORGE_API DiscoveryEnvironment {
    std::function<std::optional<std::string>(const char*)> variable;
    std::vector<std::filesystem::path>
        toolkit_places;  // "/usr/local/cuda", "/usr/local/cuda-*" (newest first), ...
    std::vector<std::filesystem::path>
        site_places;  // Python site directories, or folders of python3.*/site-packages
    bool use_loader = true;
    [[nodiscard]] static DiscoveryEnvironment of_process();
};

/// The candidates of the quick places (no wheels, no loader), in order, by `stat` and small reads
/// only.
[[nodiscard]] OPFORGE_API std::vector<NvrtcCandidate>
quick_candidates(const DiscoveryEnvironment& environment);
/// All candidates, in order. Still opens nothing with dlopen, but for the loader's own search.
[[nodiscard]] OPFORGE_API std::vector<NvrtcCandidate>
all_candidates(const DiscoveryEnvironment& environment);

/// As nvrtc_compiler(), looking where `environment` says.
[[nodiscard]] OPFORGE_API std::shared_ptr<Compiler>
nvrtc_compiler(DiscoveryEnvironment environment, const std::filesystem::path& cache_root = {});

}  // namespace opforge::builder
