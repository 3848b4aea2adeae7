// Everything that a store holds, for people. Private.
#pragma once

#include "store_context.hpp"

#include <opforge/cache/directory_store.hpp>

#include <vector>

namespace opforge::cache {

/// By name; what would be refused with its reason. With `deep`, artifacts are hashed too.
/// @throws CacheError where the root cannot be read
[[nodiscard]] std::vector<Listed> list_entries(const StoreContext& store, bool deep);

}  // namespace opforge::cache
