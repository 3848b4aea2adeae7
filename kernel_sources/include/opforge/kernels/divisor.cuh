// Division by a number that is the same for a whole launch, as a multiplication. Included by both
// sides. Plain C++, no CUDA.
#pragma once

namespace opforge::kernels {

/// n / d = (2 * n * multiplier >> 32) >> shift for every n below 2^31, exactly (Granlund,
/// Montgomery: "Division by invariant integers using multiplication", PLDI 1994). Made by
/// runtime/divisor.hpp.
struct Divisor {
    unsigned multiplier;  // 2^(31 + shift) / d, rounded up; 0 for d beyond 2^31
    unsigned shift;       // of the power of two that is not below d
};

}  // namespace opforge::kernels
