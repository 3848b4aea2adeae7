// A call's random state as its kernels take it.
#pragma once

#include <opforge/driver/cuda_types.hpp>
#include <opforge/kernels/random_arguments.cuh>
#include <opforge/runtime/random_state.hpp>

namespace opforge::runtime {

/// device_random: {seed, offset} in device memory, which wins; or 0.
[[nodiscard]] kernels::RandomArguments
random_arguments(const RandomState& state, driver::DevicePointer device_random) noexcept;

}  // namespace opforge::runtime
