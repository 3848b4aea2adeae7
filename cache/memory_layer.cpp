#include "memory_layer.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace opforge::cache {
namespace {

std::pair<int, int> version(const Entry& entry) {
    return {entry.manifest.toolchain.major, entry.manifest.toolchain.minor};
}

}  // namespace

void MemoryLayer::add(const Digest& want, std::shared_ptr<const Entry> entry) {
    const std::lock_guard lock(mutex_);
    Entries& entries = by_want_[want];
    std::erase_if(entries, [&](const auto& old) {
        return old->manifest.toolchain == entry->manifest.toolchain;
    });
    const auto place = std::find_if(entries.begin(), entries.end(), [&](const auto& other) {
        return version(*other) <= version(*entry);
    });
    entries.insert(place, std::move(entry));
}

std::shared_ptr<const Entry> MemoryLayer::find(const Digest& want, const Lookup& lookup) const {
    // The caller's predicate runs outside the lock: it may be slow, or ask the cache itself.
    for (auto& entry : entries(want)) {
        const Policy policy =
            entry->sealed ? lookup.sealed_policy.value_or(lookup.policy) : lookup.policy;
        const bool fits = policy != Policy::exact ||
                          (lookup.toolchain && entry->manifest.toolchain == *lookup.toolchain);
        if (fits && (!lookup.acceptable || lookup.acceptable(entry->manifest))) {
            return std::move(entry);
        }
    }
    return nullptr;
}

MemoryLayer::Entries MemoryLayer::entries(const Digest& want) const {
    const std::lock_guard lock(mutex_);
    const auto found = by_want_.find(want);
    return found == by_want_.end() ? Entries() : found->second;
}

}  // namespace opforge::cache
