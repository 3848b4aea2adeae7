// Whether a group's codes are centred on zero or on the middle of its values.
#pragma once

#include <cstdint>

namespace opforge::runtime {

/// DeepSpeed's enumeration, its values included.
enum class QuantizationType : std::uint8_t {
    symmetric = 0,   // a group's record is {step}
    asymmetric = 1,  // a group's record is {step, offset}
};

}  // namespace opforge::runtime
