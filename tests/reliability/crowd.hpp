// Many processes on one cache directory: started together, each asking for every key in an order of
// its own, some of them killed on the way.
#pragma once

#include "suite_record.hpp"

#include <opforge/cache/cache.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace opforge::test {

struct CrowdPlan {
    std::size_t processes = 64;
    std::size_t keys = 24;
    std::size_t kills = 0;  // so many processes, chosen by the seed, at times chosen by it
    std::chrono::milliseconds compile_time{3};
    std::uint64_t seed = 1;
    /// The file system that process `index` sees; empty: the real one.
    std::function<cache::FileSystem&(std::size_t index)> files;
};

struct CrowdResult {
    std::uint64_t compiles = 0;     // begun, also by those that were killed over them
    std::uint64_t killed = 0;       // processes that a signal ended
    std::uint64_t failed = 0;       // processes that ended otherwise than well
    std::uint64_t wrong_bytes = 0;  // answers that were not what a compile gives
    std::uint64_t answers = 0;
    std::vector<double> waits_ms;  // of an answer, less one's own compile; of those that lived
};

/// One round on `root`.
[[nodiscard]] CrowdResult run_crowd(const std::filesystem::path& root, const CrowdPlan& plan);

/// The value below which `percent` of `values` lie; sorts them.
[[nodiscard]] double percentile(std::vector<double>& values, double percent);

/// What compiling key number `key` gives.
[[nodiscard]] cache::Request crowd_request(std::size_t key);
[[nodiscard]] cache::Built crowd_built(std::size_t key);

}  // namespace opforge::test
