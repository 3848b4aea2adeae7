// The counters of a cache while it runs. Any thread. Private.
#pragma once

#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/cache/cache.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

namespace opforge::cache {

struct AtomicCounters {
    std::atomic<std::uint64_t> memory_hits{0}, directory_hits{0}, layer_hits{0}, layers_skipped{0},
        misses{0}, compiles{0}, failed_compiles{0}, shared_waits{0}, published{0},
        publish_failures{0}, quarantined{0}, refused{0}, lock_waits{0}, lock_hits{0},
        lock_timeouts{0}, lock_unavailable{0}, lock_wait_milliseconds{0};
    [[nodiscard]] Counters values() const noexcept;
};

/// What one layer, or the user's directory, answered.
class LayerCounters {
public:
    void add(const DirectoryStore::Found& found) noexcept;
    void fill(LayerStatistics& statistics) const noexcept;

private:
    std::atomic<std::uint64_t> hits_{0};
    std::atomic<std::uint64_t> absent_{0};
    std::array<std::atomic<std::uint64_t>, kRefusals> refused_{};
    std::atomic<std::uint64_t> quarantined_{0};
};

class FailuresByCause {
public:
    void add(const std::string& cause);
    [[nodiscard]] std::map<std::string, std::uint64_t> values() const;

private:
    mutable ForkSafeMutex mutex_;
    std::map<std::string, std::uint64_t> by_cause_;
};

}  // namespace opforge::cache
