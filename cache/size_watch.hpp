// When a store's size has to be counted again. Counting looks at every entry: little beside a
// compile while there are few, and not little once there are many. Private.
#pragma once

#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/cache/directory_store.hpp>

#include <cstdint>
#include <mutex>

namespace opforge::cache {

class SizeWatch {
public:
    /// After publishing so many bytes. Always, while entries are few or the caps are near.
    [[nodiscard]] bool is_due(std::uint64_t published_bytes, const Limits& limits);
    void counted(const Tally& kept);
    void evicted(const Tally& gone);
    [[nodiscard]] Tally evicted() const;

private:
    mutable ForkSafeMutex mutex_;
    bool known_ = false;
    Tally kept_;       // at the last count
    Tally published_;  // by this process since
    Tally evicted_;    // by this process, ever
};

}  // namespace opforge::cache
