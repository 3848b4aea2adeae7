// Getting a key's lock before it is compiled: where it lies, how long it is waited for, and what is
// said meanwhile. Any thread. Private.
#pragma once

#include "disk_layers.hpp"
#include "key_lock.hpp"
#include "statistics.hpp"
#include "warnings.hpp"

#include <opforge/cache/cache.hpp>

#include <memory>
#include <string>

namespace opforge::cache {

class CompileLocks {
public:
    /// All of them must outlive it.
    CompileLocks(const CacheOptions& options, FileSystem& files, DiskLayers& disk,
                 AtomicCounters& counters, Warnings& warnings)
        : options_(options), files_(files), disk_(disk), counters_(counters), warnings_(warnings) {}

    /// Held, or given up after the limit; null where there is no lock to be had, and `fault` says
    /// why (where there is no directory, nothing is said: there is nobody to wait for).
    [[nodiscard]] std::unique_ptr<KeyLock> acquire(const Lookup& lookup, const Digest& want,
                                                   std::string& fault);

private:
    void note_wait(const KeyLock& lock, const std::string& program);
    void tell(const LockWait& wait) const;

    const CacheOptions& options_;
    FileSystem& files_;
    DiskLayers& disk_;
    AtomicCounters& counters_;
    Warnings& warnings_;
};

}  // namespace opforge::cache
