// The driver and the devices of this machine, as far as they decide what can be loaded. Private.
#pragma once

#include <opforge/builder/op_builder.hpp>

#include <vector>

namespace opforge::builder {

class DevicesHere {
public:
    /// None where there is no driver, or where it fails: explaining needs neither. Creates no
    /// context.
    explicit DevicesHere(const BuilderContext& context) noexcept;

    /// The driver's version where a device here would load what is built for `target`; 0: none
    /// would.
    [[nodiscard]] int driver_for(const Target& target) const noexcept;

private:
    int driver_version_ = 0;
    std::vector<Target> targets_;
};

}  // namespace opforge::builder
