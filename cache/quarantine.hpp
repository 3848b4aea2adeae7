// Moving bad entries out of the way, where a person may look at the last of them. Private.
#pragma once

#include "store_context.hpp"

#include <string>

namespace opforge::cache {

enum class Moved { yes, replaced, failed };

/// Moves the entry that was judged, and only it: between the look and the move another process may
/// have put a sound one in its place. False: it is not there any more. @throws CacheError.
[[nodiscard]] bool move_to_quarantine(StoreContext& store, const SecureDirectory& shard,
                                      const std::string& name, const FileStatus& judged);

/// For a lookup, where the disk's refusal is only worth a line.
[[nodiscard]] Moved quarantine_judged(StoreContext& store, const std::string& name,
                                      const FileStatus& judged);

}  // namespace opforge::cache
