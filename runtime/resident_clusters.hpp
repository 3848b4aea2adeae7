// How many clusters of a kernel a device holds at once. Private.
#pragma once

#include <opforge/driver/driver_api.hpp>

#include <atomic>
#include <cstdint>

namespace opforge::runtime {

/// Of one kernel: the driver's answer, kept for the shape that was asked about last, since the
/// question costs more than a launch.
class ResidentClusters {
public:
    /// Clusters of `config`, whatever its grid; of one block, too. Where the driver cannot say, as
    /// many as there may be. The kernel's context must be current. Never 0.
    ///   multiprocessors  of the device
    [[nodiscard]] std::uint32_t of(const driver::DriverApi& api, driver::KernelHandle kernel,
                                   const driver::LaunchConfig& config, int multiprocessors);

    /// The grid of a launch whose clusters go on to what is left, in blocks: what `config` has, or
    /// as many as are resident, since others would begin late.
    [[nodiscard]] std::uint32_t grid(const driver::DriverApi& api, driver::KernelHandle kernel,
                                     const driver::LaunchConfig& config, int multiprocessors);

private:
    std::atomic<std::uint64_t> last_{0};  // the shape above the answer
};

}  // namespace opforge::runtime
