#include "size_watch.hpp"

namespace opforge::cache {
namespace {

// Counting so many takes a few milliseconds.
constexpr std::uint64_t kFewEntries = 1024;
// Beyond that, each process may publish this part of the room that it last saw before it counts
// again: other processes publish too.
constexpr std::uint64_t kPartOfRoom = 64;

bool has_room(std::uint64_t limit, std::uint64_t kept, std::uint64_t published) {
    return limit == 0 || (kept < limit && published < (limit - kept) / kPartOfRoom);
}

}  // namespace

bool SizeWatch::is_due(std::uint64_t published_bytes, const Limits& limits) {
    const std::lock_guard lock(mutex_);
    ++published_.entries;
    published_.bytes += published_bytes;
    return !known_ || kept_.entries < kFewEntries ||
           !has_room(limits.max_entries, kept_.entries, published_.entries) ||
           !has_room(limits.max_bytes, kept_.bytes, published_.bytes);
}

void SizeWatch::counted(const Tally& kept) {
    const std::lock_guard lock(mutex_);
    known_ = true;
    kept_ = kept;
    published_ = {};
}

void SizeWatch::evicted(const Tally& gone) {
    const std::lock_guard lock(mutex_);
    evicted_.entries += gone.entries;
    evicted_.bytes += gone.bytes;
}

Tally SizeWatch::evicted() const {
    const std::lock_guard lock(mutex_);
    return evicted_;
}

}  // namespace opforge::cache
