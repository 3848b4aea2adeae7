// The places on disk that a cache looks in: read-only layers in their order, then the user's
// directory. Any thread. Private.
#pragma once

#include "layer.hpp"
#include "memory_layer.hpp"
#include "statistics.hpp"

#include <opforge/cache/cache.hpp>

#include <atomic>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace opforge::cache {

class DiskLayers {
public:
    /// `memory`, which remembers what is found, and `counters` must outlive it.
    DiskLayers(const CacheOptions& options, const CacheRoot& root, FileSystem& files,
               MemoryLayer& memory, AtomicCounters& counters);

    /// Null where none of them has it; the reason is then that of the last that had one.
    [[nodiscard]] Result find(const Lookup& lookup, const Digest& want);
    /// In the user's directory alone, once more: another process may have published.
    [[nodiscard]] Result find_under_lock(const Lookup& lookup, const Digest& want);

    /// The read-only ones, in their order.
    [[nodiscard]] std::vector<LayerSpec> layers() const;
    /// The user's; null where there is none.
    [[nodiscard]] DirectoryStore* directory() noexcept;
    [[nodiscard]] std::vector<LayerStatistics> statistics() const;

private:
    // A layer, and what it answered.
    struct CountedLayer {
        CountedLayer(LayerSpec spec, FileSystem& files) : layer(std::move(spec), files) {}
        Layer layer;
        LayerCounters counters;
        std::atomic_flag skipped;
    };
    enum class LookNumber { first, second };
    [[nodiscard]] Result find_in_layer(CountedLayer& counted, const Lookup& lookup,
                                       const Digest& want);
    [[nodiscard]] Result find_in_directory(const Lookup& lookup, const Digest& want,
                                           LookNumber number);
    void skip(CountedLayer& counted);
    void count_refused(const DirectoryStore::Found& found, const std::string& program);

    MemoryLayer& memory_;
    AtomicCounters& counters_;
    std::deque<CountedLayer> layers_;
    std::optional<DirectoryStore> directory_;
    LayerCounters directory_counters_;
};

}  // namespace opforge::cache
