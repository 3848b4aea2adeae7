// What a series of measurements comes to.
#pragma once

#include <vector>

namespace opforge::bench {

struct Summary {
    double median = 0;
    double smallest = 0;
    double largest = 0;
};

/// Of at least one value.
[[nodiscard]] Summary summarise(std::vector<double> values);

}  // namespace opforge::bench
