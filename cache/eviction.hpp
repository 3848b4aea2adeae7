// Keeping a store below its caps: the least recently used entries go first. Private.
#pragma once

#include "store_context.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace opforge::cache {

/// One entry as eviction sees it; its manifest is not read.
struct StoredEntry {
    std::string name;
    std::int64_t used_nanoseconds = 0;  // the stamp, as far as it can be believed
    std::uint64_t size_bytes = 0;
};

/// Every entry, least recently used first; nothing where there is no cache yet. @throws CacheError
[[nodiscard]] std::vector<StoredEntry> entries_by_use(const StoreContext& store);

/// The first so many of `entries` (least recently used first) that have to go for the rest to be
/// within the limits.
[[nodiscard]] std::size_t count_above(const std::vector<StoredEntry>& entries,
                                      const Limits& limits) noexcept;

/// Takes an entry away from under its readers: renamed into tmp first, so that nobody sees half of
/// one. False where it was gone already. @throws CacheError
bool evict(StoreContext& store, const std::string& name);

/// The time of last use that a stamp stands for. A stamp a little ahead of the clock is another
/// machine's now; one far ahead was made before the clock was set right, and is older than all.
[[nodiscard]] std::int64_t believed_stamp(std::int64_t stamp_nanoseconds,
                                          std::int64_t now_nanoseconds) noexcept;

}  // namespace opforge::cache
