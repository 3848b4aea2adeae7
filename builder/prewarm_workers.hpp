// How many worker processes a machine has room for. Private.
#pragma once

#include <opforge/base/machine_limits.hpp>

namespace opforge::builder {

/// One a processor, as far as there is memory; at least one.
[[nodiscard]] int workers_within(const MachineLimits& limits) noexcept;

}  // namespace opforge::builder
