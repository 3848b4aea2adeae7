#include "architectures.hpp"

#include <opforge/builder/target.hpp>

#include <algorithm>

namespace opforge::builder {
namespace {

// From CUDA's release notes. 10.1 was renamed to 11.0 in CUDA 13.
constexpr std::array<Architecture, 12> kArchitectures = {{
    {7, 5, 10000, false},
    {8, 0, 11000, false},
    {8, 6, 11010, false},
    {8, 7, 11040, true},
    {8, 8, 13000, true},
    {8, 9, 11080, false},
    {9, 0, 11080, false},
    {10, 0, 12080, false},
    {10, 3, 12090, false},
    {11, 0, 13000, true},
    {12, 0, 12080, false},
    {12, 1, 12090, false},
}};

// The CUlibrary interface, which all loading goes through, came with CUDA 12.0; so did 9.0a.
constexpr int kLibraryDriver = 12000;
// Family targets came with CUDA 12.9.
constexpr int kFamilyDriver = 12090;

const Architecture* find_architecture(int major, int minor) {
    const auto* found =
        std::find_if(kArchitectures.begin(), kArchitectures.end(), [&](const Architecture& one) {
            return one.major == major && one.minor == minor;
        });
    return found != kArchitectures.end() ? found : nullptr;
}

bool has_suffix(int major, Target::Suffix suffix) {
    return suffix == Target::Suffix::none || major >= (suffix == Target::Suffix::family ? 10 : 9);
}

}  // namespace

std::span<const Architecture> architectures() noexcept {
    return kArchitectures;
}

int first_driver(const Target& target) noexcept {
    const Architecture* architecture = find_architecture(target.major, target.minor);
    const int plain = architecture != nullptr ? architecture->first_driver : 0;
    return target.suffix == Target::Suffix::family ? std::max(plain, kFamilyDriver) : plain;
}

std::vector<Target> candidates(const DeviceFacts& device, Wants wants) {
    std::vector<Target> found;
    if (device.major * 10 + device.minor < kOldestCapability) {
        return found;
    }
    const auto add = [&](int major, int minor, Target::Suffix suffix, bool ptx) {
        const Target target{major, minor, suffix, ptx};
        const bool loads =
            device.driver_version == 0 || first_driver(target) <= device.driver_version;
        if (has_suffix(major, suffix) && loads &&
            std::find(found.begin(), found.end(), target) == found.end()) {
            found.push_back(target);
        }
    };
    const Architecture* own = find_architecture(device.major, device.minor);
    const bool alone = own != nullptr && own->stands_alone;
    // The same major's lower minors, nearest first, each asked for in one spelling.
    const auto add_lower = [&](Target::Suffix suffix) {
        for (auto one = kArchitectures.rbegin(); one != kArchitectures.rend(); ++one) {
            if (one->major == device.major && one->minor < device.minor && !one->stands_alone &&
                !alone) {
                add(one->major, one->minor, suffix, false);
            }
        }
    };
    add(device.major, device.minor, wants, false);
    add(device.major, device.minor, Target::Suffix::none, false);
    if (wants != Target::Suffix::none) {
        add(device.major, device.minor, Target::Suffix::family, false);
        add_lower(Target::Suffix::family);
    }
    add_lower(Target::Suffix::none);
    add(device.major, device.minor, Target::Suffix::none, true);
    for (auto one = kArchitectures.rbegin(); one != kArchitectures.rend(); ++one) {
        if (one->major < device.major ||
            (one->major == device.major && one->minor < device.minor)) {
            add(one->major, one->minor, Target::Suffix::none, true);
        }
    }
    return found;
}

Target lower(const Target& asked, Wants wants) {
    Target lowered = asked;
    if (wants == Target::Suffix::none) {
        lowered.suffix = Target::Suffix::none;
    } else if (wants == Target::Suffix::family && asked.suffix == Target::Suffix::architecture) {
        lowered.suffix = has_suffix(asked.major, wants) ? wants : Target::Suffix::none;
    }
    return lowered;
}

int minimum_driver(const Target& target, int toolchain_major, int toolchain_minor) {
    // A driver takes any cubin of its own major, but PTX only up to its own minor.
    const int made_by = toolchain_major * 1000 + (target.ptx ? toolchain_minor * 10 : 0);
    return std::max({kLibraryDriver, made_by, first_driver(target)});
}

}  // namespace opforge::builder
