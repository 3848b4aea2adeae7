// How driver_state() is made; apart, so that the tests can open libraries of their own.
#pragma once

#include <opforge/driver/driver_api.hpp>

#include <memory>
#include <string>

namespace opforge::driver {

struct OpenedDriver {
    DriverState state;
    std::unique_ptr<const DriverApi> api;  // state.api, owned
};

/// Opens `name` (a path or a soname), checks its version, fills the table and calls cuInit. The
/// library is never closed. Any thread; not memoised.
[[nodiscard]] OpenedDriver open_driver(const std::string& name);

}  // namespace opforge::driver
