// The share of copy speed as a picture.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace opforge::bench {

/// An SVG of a run's figures (its `cells`, and of its `peers` what there is): share of copy by
/// group size, a panel for each op and tensor size, a line for each dtype, type and rounding or
/// width; reductions by devices, and tensors of one group by their size. Panels without figures are
/// left out. The caption names GPU and driver.
/// @throws std::invalid_argument where the figures have no cell with a share
[[nodiscard]] std::string kernel_picture(const nlohmann::json& figures);

}  // namespace opforge::bench
