// The NVRTC of this machine.
#pragma once

#include <opforge/builder/nvrtc_discovery.hpp>

#include <iostream>
#include <optional>

namespace opforge::test {

/// Where there is none, says that the test is skipped.
[[nodiscard]] inline std::optional<builder::NvrtcCandidate> find_nvrtc() {
    using builder::DiscoveryEnvironment;
    for (const builder::NvrtcCandidate& candidate :
         builder::all_candidates(DiscoveryEnvironment::of_process())) {
        if (candidate.usable) {
            return candidate;
        }
    }
    std::cout << "SKIPPED: no usable libnvrtc\n";
    return std::nullopt;
}

}  // namespace opforge::test
