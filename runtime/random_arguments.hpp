// A call's random state as its kernels take it.
#pragma once

#include <opforge/driver/cuda_types.hpp>
#include <opforge/kernels/random_arguments.cuh>
#include <opforge/runtime/random_state.hpp>

#include <cstdint>

namespace opforge::runtime {

/// elements: of the tensor, at least one. device_random: {seed, offset} in device memory, which
/// wins; or 0.
[[nodiscard]] kernels::RandomArguments
random_arguments(const RandomState& state, std::int64_t elements,
                 driver::DevicePointer device_random) noexcept;

/// The same of another state, into arguments that were made for a tensor of that size, without
/// device memory: what the two states share is not computed again.
void renew_random_arguments(kernels::RandomArguments& arguments, const RandomState& state,
                            std::int64_t elements) noexcept;

}  // namespace opforge::runtime
