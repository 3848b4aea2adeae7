#include "devices_here.hpp"

#include <opforge/driver/device.hpp>
#include <opforge/driver/driver_api.hpp>
#include <opforge/driver/errors.hpp>

#include <algorithm>
#include <exception>
#include <tuple>

namespace opforge::builder {

DevicesHere::DevicesHere(const BuilderContext& context) noexcept {
    try {
        const driver::DriverApi* api = context.driver;
        driver_version_ = context.driver_version;
        if (api == nullptr) {
            api = driver::driver_state().api;
            driver_version_ = driver::driver_state().version;
        } else if (driver_version_ == 0) {
            driver::check(*api, api->driver_version(&driver_version_), "cuDriverGetVersion");
        }
        const int devices = api == nullptr ? 0 : driver::device_count(*api);
        for (int ordinal = 0; ordinal < devices; ++ordinal) {
            const driver::DeviceInfo info = driver::device_info(*api, ordinal);
            targets_.push_back({info.capability_major, info.capability_minor});
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
