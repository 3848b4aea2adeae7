// The report's NVRTC candidates.
#include "report.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/builder/nvrtc_discovery.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <system_error>

namespace opforge::tools {
namespace {

std::string version_of(const builder::NvrtcCandidate& candidate) {
    return candidate.major > 0 ? fmt::format("{}.{}", candidate.major, candidate.minor) : "?";
}

Check nvrtc_check(const std::optional<builder::NvrtcCandidate>& taken, bool devices_present) {
    if (taken) {
        return {"nvrtc", Verdict::ok,
                fmt::format("{} in {}", version_of(*taken), taken->library.string())};
    }
    const bool named = environment("OPFORGE_NVRTC_LIBRARY").has_value();
    const bool offline = environment("OPFORGE_POLICY").value_or("") == "offline";
    if (offline && !named) {
        return {"nvrtc", Verdict::note, "none, and none is needed under policy offline"};
    }
    return {"nvrtc", named || devices_present ? Verdict::failed : Verdict::warning,
            named ? "OPFORGE_NVRTC_LIBRARY names none that serves" : "none serves",
            "what is not in the cache cannot be compiled: install the PyPI package "
            "nvidia-cuda-nvrtc or a CUDA toolkit no newer than the driver, or set "
            "OPFORGE_NVRTC_LIBRARY to the absolute path of a libnvrtc.so"};
}

std::optional<Check> two_toolkits_check() {
    const auto path = environment("CUDA_PATH");
    const auto home = environment("CUDA_HOME");
    std::error_code ignored;
    if (!path || !home || *path == *home || std::filesystem::equivalent(*path, *home, ignored)) {
        return std::nullopt;
    }
    return Check{"nvrtc.two_toolkits", Verdict::warning,
                 fmt::format("CUDA_PATH is {} and CUDA_HOME is {}", *path, *home),
                 "CUDA_PATH goes first; set both to one toolkit"};
}

}  // namespace

// The first usable one is taken, as long as the driver can load what it makes.
Section nvrtc_section(bool devices_present) {
    Section section{{}, Json::array()};
    const int driver_version = driver::driver_state().version;
    std::optional<builder::NvrtcCandidate> taken;
    for (const builder::NvrtcCandidate& candidate :
         builder::all_candidates(builder::DiscoveryEnvironment::of_process())) {
        const bool too_new = driver_version > 0 && candidate.major > driver_version / 1000;
        const bool takes = candidate.usable && !too_new && !taken;
        std::string verdict = "not needed: an earlier one serves";
        if (takes) {
            verdict = "taken";
            taken = candidate;
        } else if (!candidate.usable) {
            verdict = "refused: " + candidate.reason;
        } else if (too_new) {
            verdict = fmt::format("refused: newer than the driver (CUDA {})",
                                  cuda_version(driver_version));
        }
        section.text += fmt::format("NVRTC    {} {} (via {}): {}\n", version_of(candidate),
                                    candidate.library.string(), candidate.found_via, verdict);
        if (!candidate.builtins.empty()) {
            section.text += fmt::format("         builtins beside it: {}\n",
                                        candidate.builtins.filename().string());
        }
        section.data.push_back(
            {{"path", candidate.library.string()},
             {"version", version_of(candidate)},
             {"builtins",
              candidate.builtins.empty() ? Json(nullptr) : Json(candidate.builtins.string())},
             {"fingerprint", candidate.fingerprint},
             {"found_via", candidate.found_via},
             {"usable", candidate.usable},
             {"taken", takes},
             {"verdict", verdict}});
    }
    if (!taken) {
        section.text +=
            "NVRTC    none usable: kernels that are not in the cache cannot be compiled\n";
    }
    section.checks.push_back(nvrtc_check(taken, devices_present));
    if (auto check = two_toolkits_check()) {
        section.checks.push_back(*std::move(check));
    }
    return section;
}

}  // namespace opforge::tools
