// A device of a builder's context, as far as it decides what can be loaded. Creates no CUDA
// context. Private.
#pragma once

#include <opforge/builder/op_builder.hpp>
#include <opforge/builder/target.hpp>
#include <opforge/driver/driver_api.hpp>

#include <string>

namespace opforge::builder {

struct OpenedDevice {
    const driver::DriverApi* api = nullptr;
    DeviceFacts facts;
};

/// The context's driver, by default the real one. @throws NoDevice where there is none
[[nodiscard]] const driver::DriverApi& driver_of(const BuilderContext& context);

/// @throws NoDevice, DriverError
[[nodiscard]] OpenedDevice open_device(const BuilderContext& context, int ordinal);
/// The same for one that opforge supports. @throws NoDevice for any other one
[[nodiscard]] OpenedDevice open_usable_device(const BuilderContext& context, int ordinal);
/// Why opforge does not support it; empty: it does.
[[nodiscard]] std::string why_too_old(const DeviceFacts& facts);

/// "13.0" for 13000.
[[nodiscard]] std::string driver_version_text(int number);

}  // namespace opforge::builder
