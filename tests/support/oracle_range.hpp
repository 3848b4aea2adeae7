// The range of a group, which the oracle's two halves share. Private to them.
#pragma once

#include <span>

namespace opforge::test::oracle {

struct Range {
    float low = 0;
    float high = 0;
    float magnitude = 0;
    bool poisoned =
        false;  // holds a NaN or an infinity, or twice the magnitude (the width) is none
};

/// Of a group that is not empty. -0 is below +0.
[[nodiscard]] Range range_of(std::span<const float> group, bool asymmetric);

}  // namespace opforge::test::oracle
