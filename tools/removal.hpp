// What `opforge cache prune` and `clear` say they did.
#pragma once

#include "output.hpp"

#include <opforge/cache/cache_root.hpp>
#include <opforge/cache/directory_store.hpp>

namespace opforge::tools {

[[nodiscard]] CommandResult removal_result(const cache::Removal& removal,
                                           const cache::CacheRoot& root, bool dry_run);

}  // namespace opforge::tools
