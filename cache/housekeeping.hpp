// Keeping a store small and tidy: its limits, what is abandoned in it, clearing it. Any thread.
// Private.
#pragma once

#include "eviction.hpp"
#include "size_watch.hpp"
#include "store_context.hpp"
#include "sweep.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace opforge::cache {

class Housekeeping {
public:
    /// `store` must outlive it.
    explicit Housekeeping(StoreContext& store) : store_(store) {}

    /// After publishing so many bytes. Never throws for what is on the disk.
    void keep_within_limits(std::uint64_t published_bytes);
    /// Of DirectoryStore, which documents them. @throws CacheError
    Removal prune(const Limits& limits, Run run);
    Removal clear(Run run);
    [[nodiscard]] Leftovers leftovers() const;
    [[nodiscard]] Tally evicted() const { return size_watch_.evicted(); }

private:
    [[nodiscard]] bool is_there_to_remove_from() const;
    void refuse_if_sealed() const;
    [[nodiscard]] Removal remove(const std::vector<StoredEntry>& entries,
                                 const std::set<std::string>& doomed, Run run);

    StoreContext& store_;
    SizeWatch size_watch_;
};

}  // namespace opforge::cache
