// Taking away what nobody will come back for: staging folders of processes that died, and what
// older versions of opforge have left. Private.
#pragma once

#include "store_context.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace opforge::cache {

enum class Run { real, dry };

/// Removes staging folders, and notes of lock holders, older than an hour; gives their number.
/// Never throws for what is on the disk.
std::uint64_t sweep_staging(const StoreContext& store, Run run);

/// Removes folders of older layouts beside this one ("v0"); gives their number.
std::uint64_t sweep_old_layouts(const StoreContext& store, Run run);

/// Those of `names` whose manifests are of an older schema: no key of today's leads to them.
[[nodiscard]] std::vector<std::string>
entries_of_old_schemas(const StoreContext& store, const std::vector<std::string>& names);

/// Removes everything in quarantine; gives the number of entries.
std::uint64_t empty_quarantine(const StoreContext& store, Run run);

}  // namespace opforge::cache
