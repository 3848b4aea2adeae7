#include "devices_here.hpp"

#include "opened_device.hpp"

#include <opforge/driver/device.hpp>

#include <algorithm>
#include <exception>
#include <tuple>

namespace opforge::builder {

DevicesHere::DevicesHere(const BuilderContext& context) noexcept {
    try {
        const int devices = driver::device_count(driver_of(context));
        for (int ordinal = 0; ordinal < devices; ++ordinal) {
            const DeviceFacts facts = open_device(context, ordinal).facts;
            driver_version_ = facts.driver_version;
            targets_.push_back({facts.major, facts.minor});
        }
    } catch (const std::exception&) {
        targets_.clear();
    }
}

int DevicesHere::driver_for(const Target& target) const noexcept {
    const auto loads = [&target](const Target& device) {
        return target.ptx
                   ? std::tie(target.major, target.minor) <= std::tie(device.major, device.minor)
                   : target.major == device.major && target.minor <= device.minor;
    };
    return std::any_of(targets_.begin(), targets_.end(), loads) ? driver_version_ : 0;
}

}  // namespace opforge::builder
