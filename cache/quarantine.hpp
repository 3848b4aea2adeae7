// Moving bad entries out of the way, where a person may look at the last of them. Private.
#pragma once

#include "entry_reader.hpp"
#include "store_context.hpp"

#include <functional>
#include <string>

namespace opforge::cache {

enum class Moved { yes, replaced, failed };

/// Moves the entry that was judged, and only it: between the look and the move another process may
/// have put a sound one in its place. False: it is not there any more. @throws CacheError.
[[nodiscard]] bool move_to_quarantine(StoreContext& store, const SecureDirectory& shard,
                                      const std::string& name, const FileStatus& judged);

/// For an entry that a look found bad; the disk's refusal is only worth a line. The look held
/// nothing open: what it read may have been parts of two entries, and the number of a removed
/// folder is given out again at once. So the entry is moved only if `is_still_bad` says so of it
/// again, while its folder is held.
[[nodiscard]] Moved quarantine_judged(StoreContext& store, const std::string& name,
                                      const std::function<bool(const EntryReader&)>& is_still_bad);

}  // namespace opforge::cache
