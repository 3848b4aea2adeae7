// The entries that this process has verified already, by want digest. Any thread. Private.
#pragma once

#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/cache/cache.hpp>

#include <map>
#include <memory>
#include <vector>

namespace opforge::cache {

class MemoryLayer {
public:
    void add(const Digest& want, std::shared_ptr<const Entry> entry);
    /// Null where there is none for this policy, toolchain and predicate; else the newest
    /// toolchain's.
    [[nodiscard]] std::shared_ptr<const Entry> find(const Digest& want, const Lookup& lookup) const;

private:
    using Entries = std::vector<std::shared_ptr<const Entry>>;
    [[nodiscard]] Entries entries(const Digest& want) const;

    mutable ForkSafeMutex mutex_;
    std::map<Digest, Entries> by_want_;  // newest toolchain first
};

}  // namespace opforge::cache
