// What a figure is worth nothing without: the machine it was measured on.
#pragma once

#include <nlohmann/json.hpp>

namespace opforge::bench {

/// Processor, cores, kernel, and of each GPU what nvidia-smi says (name, driver, clocks at this
/// moment and at most); what cannot be found out is left out. Makes no CUDA call.
[[nodiscard]] nlohmann::json describe_machine();

}  // namespace opforge::bench
