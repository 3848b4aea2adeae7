#include "target_list.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/builder/compiler.hpp>
#include <opforge/builder/errors.hpp>
#include <opforge/builder/nvrtc_discovery.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/errors.hpp>

#include <algorithm>

namespace opforge::tools {
namespace {

std::vector<builder::Target> native_targets() {
    const driver::DriverState& state = driver::driver_state();
    const int devices = state.api == nullptr ? 0 : driver::device_count(*state.api);
    if (devices == 0) {
        throw NoDevice("find the architecture \"native\": " +
                       (state.api == nullptr ? state.reason : "the driver shows no GPU") +
                       "; name the architectures, for example --arch sm_90");
    }
    std::vector<builder::Target> targets;
    for (int ordinal = 0; ordinal < devices; ++ordinal) {
        const driver::DeviceInfo info = driver::device_info(*state.api, ordinal);
        targets.push_back({info.capability_major, info.capability_minor});
    }
    return targets;
}

std::vector<builder::Target> all_major_here() {
    for (const builder::NvrtcCandidate& candidate :
         builder::all_candidates(builder::DiscoveryEnvironment::of_process())) {
        if (candidate.usable) {
            return all_major_targets(candidate.major, candidate.minor);
        }
    }
    throw ToolchainNotFound("find the architectures of \"all-major\": no NVRTC was found "
                            "(opforge report says where it was looked for); name them, for "
                            "example --arch sm_80,sm_90");
}

}  // namespace

std::vector<builder::Target> all_major_targets(int toolkit_major, int toolkit_minor) {
    const int version = toolkit_major * 100 + toolkit_minor;
    std::vector<builder::Target> targets;
    const auto add = [&](int major, int minor, int first_version, int last_version) {
        if (version >= first_version && version <= last_version) {
            targets.push_back({major, minor});
        }
    };
    constexpr int kStill = 1 << 20;  // no toolkit has dropped it
    add(5, 0, 0, 1299);
    add(6, 0, 0, 1299);
    add(7, 0, 0, 1299);
    add(7, 5, 1300, kStill);
    add(8, 0, 1100, kStill);
    add(9, 0, 1108, kStill);
    add(10, 0, 1208, kStill);
    add(11, 0, 1300, kStill);
    add(12, 0, 1208, kStill);
    builder::Target portable = targets.back();
    portable.ptx = true;
    targets.push_back(portable);
    return targets;
}

std::vector<builder::Target> targets_to_prewarm(const std::string& given) {
    const std::string text =
        !given.empty() ? given
                       : environment("OPFORGE_ARCH")
                             .value_or(environment("TORCH_CUDA_ARCH_LIST").value_or("native"));
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char each) {
        return each >= 'A' && each <= 'Z' ? static_cast<char>(each - 'A' + 'a') : each;
    });
    builder::TargetListContext context;
    if (lower.find("native") != std::string::npos) {
        context.native = native_targets();
    }
    if (lower.find("all-major") != std::string::npos) {
        context.all_major = all_major_here();
    }
    return builder::parse_targets(text, context);
}

}  // namespace opforge::tools
