// What the kernels are to reach, held against what a run has measured.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace opforge::bench {

/// One entry for each limit, from a run's figures (`cells`, `replay`, `peers`; each may be absent):
///   name, limit, direction ("at least" or "at most"),
///   cells (how many were measured), failing (how many miss the limit) and failing_cells (which),
///   worst and cell (the figure that is furthest off and the name of its cell), holds;
/// worst, cell and holds are null where no cell was measured.
[[nodiscard]] nlohmann::json kernel_limits(const nlohmann::json& figures);

/// The same as a table, and the names of the cells that miss a limit.
[[nodiscard]] std::string limits_table(const nlohmann::json& limits);

}  // namespace opforge::bench
