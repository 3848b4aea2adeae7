#include "statistics.hpp"

#include <mutex>

namespace opforge::cache {

Counters AtomicCounters::values() const noexcept {
    Counters to;
    to.memory_hits = memory_hits;
    to.directory_hits = directory_hits;
    to.layer_hits = layer_hits;
    to.layers_skipped = layers_skipped;
    to.misses = misses;
    to.compiles = compiles;
    to.failed_compiles = failed_compiles;
    to.shared_waits = shared_waits;
    to.published = published;
    to.publish_failures = publish_failures;
    to.quarantined = quarantined;
    to.refused = refused;
    to.lock_waits = lock_waits;
    to.lock_hits = lock_hits;
    to.lock_timeouts = lock_timeouts;
    to.lock_unavailable = lock_unavailable;
    to.lock_wait_milliseconds = lock_wait_milliseconds;
    return to;
}

void LayerCounters::add(const DirectoryStore::Found& found) noexcept {
    hits_ += found.entry ? 1U : 0U;
    absent_ += !found.entry && found.refused == 0 ? 1U : 0U;
    for (std::size_t i = 0; i < kRefusals; ++i) {
        refused_[i] += found.refused_by[i];
    }
    quarantined_ += found.quarantined;
}

void LayerCounters::fill(LayerStatistics& statistics) const noexcept {
    statistics.hits = hits_;
    statistics.absent = absent_;
    for (std::size_t i = 0; i < kRefusals; ++i) {
        statistics.refused[i] = refused_[i];
    }
    statistics.quarantined = quarantined_;
}

void FailuresByCause::add(const std::string& cause) {
    const std::lock_guard lock(mutex_);
    ++by_cause_[cause];
}

std::map<std::string, std::uint64_t> FailuresByCause::values() const {
    const std::lock_guard lock(mutex_);
    return by_cause_;
}

}  // namespace opforge::cache
