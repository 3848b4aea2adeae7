// The GPU that tests run on, with its primary context current; or the reason why there is none.
#pragma once

#include <opforge/driver/context.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/driver_api.hpp>

#include <iostream>
#include <optional>

namespace opforge::test {

struct Gpu {
    const driver::DriverApi& api;
    driver::ScopedContext current;
    explicit Gpu(const driver::DriverApi& driver_api)
        : api(driver_api), current(driver_api, driver::primary_context(driver_api, 0)) {}
};

/// Device 0. Where there is none: nullopt, and the line by which ctest knows a skipped test.
[[nodiscard]] inline std::optional<Gpu> first_gpu() {
    const driver::DriverState& state = driver::driver_state();
    if (state.api == nullptr) {
        std::cout << "SKIPPED: no GPU: " << state.reason << '\n';
        return std::nullopt;
    }
    if (driver::device_count(*state.api) == 0) {
        std::cout << "SKIPPED: no GPU: the driver has no device\n";
        return std::nullopt;
    }
    return std::optional<Gpu>(std::in_place, *state.api);
}

}  // namespace opforge::test
