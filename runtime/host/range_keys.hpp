// A group's range, as the host's inner loops pass it on.
#pragma once

#include <cstdint>

namespace opforge::runtime::host {

/// A range as integer keys that order like the values (see kernel_sources: range.cuh). Symmetric:
/// `low` is unused.
struct RangeKeys {
    std::uint32_t low;
    std::uint32_t high;
};

}  // namespace opforge::runtime::host
