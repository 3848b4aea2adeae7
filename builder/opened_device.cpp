#include "opened_device.hpp"

#include "architectures.hpp"

#include <opforge/driver/device.hpp>
#include <opforge/driver/errors.hpp>

#include <fmt/format.h>

namespace opforge::builder {
namespace {

// The first driver with CUlibrary, which all loading goes through.
constexpr int kOldestDriver = 12000;

}  // namespace

const driver::DriverApi& driver_of(const BuilderContext& context) {
    return context.driver != nullptr ? *context.driver : driver::real_driver();
}

OpenedDevice open_device(const BuilderContext& context, int ordinal) {
    OpenedDevice device;
    device.api = &driver_of(context);
    device.facts.driver_version =
        context.driver != nullptr ? context.driver_version : driver::driver_state().version;
    if (device.facts.driver_version == 0) {
        driver::check(*device.api, device.api->driver_version(&device.facts.driver_version),
                      "cuDriverGetVersion");
    }
    const driver::DeviceInfo info = driver::device_info(*device.api, ordinal);
    device.facts.major = info.capability_major;
    device.facts.minor = info.capability_minor;
    return device;
}

OpenedDevice open_usable_device(const BuilderContext& context, int ordinal) {
    OpenedDevice device = open_device(context, ordinal);
    if (const std::string reason = why_too_old(device.facts); !reason.empty()) {
        throw NoDevice(fmt::format("use CUDA device {}: {}", ordinal, reason));
    }
    return device;
}

std::string why_too_old(const DeviceFacts& facts) {
    if (facts.driver_version < kOldestDriver) {
        return fmt::format(
            "the driver is of CUDA {}; opforge needs 12.0 or newer: update the driver",
            driver_version_text(facts.driver_version));
    }
    if (facts.major * 10 + facts.minor < kOldestCapability) {
        return fmt::format(
            "the device has compute capability {}.{}; opforge's kernels need {}.{} or newer",
            facts.major, facts.minor, kOldestCapability / 10, kOldestCapability % 10);
    }
    return {};
}

std::string driver_version_text(int number) {
    return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

}  // namespace opforge::builder
