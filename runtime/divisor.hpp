// Divisors as kernels take them.
#pragma once

#include <opforge/kernels/divisor.cuh>

#include <cstdint>

namespace opforge::runtime {

/// Of `by`, at least 1.
[[nodiscard]] kernels::Divisor divisor_of(std::int64_t by) noexcept;

}  // namespace opforge::runtime
