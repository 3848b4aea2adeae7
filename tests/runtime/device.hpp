// The GPU that tests run on, with its primary context current; or the reason why there is none.
#pragma once

#include <opforge/cache/cache.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/driver_api.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <iostream>
#include <memory>
#include <optional>

namespace opforge::test {

class Gpu {
public:
    explicit Gpu(const driver::DriverApi& driver_api)
        : api(driver_api), current_(driver_api, driver::primary_context(driver_api, 0)) {
        // What is compiled here stays out of the user's cache, and is compiled once a process.
        static const auto cache = std::make_shared<cache::Cache>(
            cache::CacheOptions{.directory = {}, .memory_only = true});
        runtime::configure_quantizer(
            {.cache = cache, .compiler = {}, .driver = nullptr, .driver_version = 0, .policy = {}});
    }
    Gpu(const Gpu&) = delete;
    Gpu& operator=(const Gpu&) = delete;
    ~Gpu() { runtime::configure_quantizer({}); }

    const driver::DriverApi& api;

private:
    driver::ScopedContext current_;
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
