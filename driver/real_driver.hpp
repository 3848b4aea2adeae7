// How driver_state() is made; apart, so that the tests can open libraries of their own.
#pragma once

#include <opforge/driver/driver_api.hpp>

#include <string>

namespace opforge::driver {

/// Opens `library` (a path or a soname), checks its version, fills the table and calls cuInit. What
/// is opened is never closed. Any thread; not memoised.
[[nodiscard]] DriverState open_driver(const std::string& library);

}  // namespace opforge::driver
