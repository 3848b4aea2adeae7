#include "resident_clusters.hpp"

#include <algorithm>
#include <limits>

namespace opforge::runtime {
namespace {

/// What the answer depends on: never 0, as a block has threads.
std::uint32_t shape_of(const driver::LaunchConfig& config) {
    constexpr std::uint32_t kWarp = 32;
    constexpr std::uint32_t kSharedUnit = 16;
    return config.block_x / kWarp | config.cluster_x << 6U |
           config.shared_bytes / kSharedUnit << 12U;
}

std::int64_t ask(const driver::DriverApi& api, driver::KernelHandle kernel,
                 const driver::LaunchConfig& config, int multiprocessors) {
    // A CUkernel may stand for its function in the current context.
    auto* const function = reinterpret_cast<driver::FunctionHandle>(kernel);
    int count = 0;
    const int result = config.has_cluster() ? api.occupancy_clusters(&count, function, config)
                                            : api.occupancy_blocks(&count, function,
                                                                   static_cast<int>(config.block_x),
                                                                   config.shared_bytes);
    if (result != 0 || count <= 0) {
        return std::numeric_limits<std::int64_t>::max();
    }
    return config.has_cluster() ? count : std::int64_t{count} * multiprocessors;
}

}  // namespace

std::uint32_t ResidentClusters::of(const driver::DriverApi& api, driver::KernelHandle kernel,
                                   const driver::LaunchConfig& config, int multiprocessors) {
    const std::uint32_t shape = shape_of(config);
    const std::uint64_t last = last_.load(std::memory_order_relaxed);
    if (last >> 32U == shape) {
        return static_cast<std::uint32_t>(last);
    }
    const auto answer = static_cast<std::uint32_t>(std::min<std::int64_t>(
        ask(api, kernel, config, multiprocessors), std::numeric_limits<std::int32_t>::max()));
    last_.store(std::uint64_t{shape} << 32U | answer, std::memory_order_relaxed);
    return answer;
}

std::uint32_t ResidentClusters::grid(const driver::DriverApi& api, driver::KernelHandle kernel,
                                     const driver::LaunchConfig& config, int multiprocessors) {
    const std::uint32_t clusters = config.grid_x / config.cluster_x;
    return std::min(clusters, of(api, kernel, config, multiprocessors)) * config.cluster_x;
}

}  // namespace opforge::runtime
