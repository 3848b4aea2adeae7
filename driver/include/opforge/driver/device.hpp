// A CUDA device and the facts that opforge plans with. Asking for them creates no context.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/driver/driver_api.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace opforge::driver {

struct DeviceInfo {
    int ordinal = 0;
    int handle = 0;  // CUdevice
    std::string name;
    std::string uuid;  // "GPU-xxxxxxxx-..."
    int capability_major = 0;
    int capability_minor = 0;
    int multiprocessors = 0;
    int max_threads_per_block = 0;
    int max_threads_per_multiprocessor = 0;
    int shared_bytes_per_block = 0;  // without opting in
    int shared_bytes_per_block_optin = 0;
    int shared_bytes_per_multiprocessor = 0;
    std::int64_t l2_bytes = 0;
    std::size_t memory_bytes = 0;
    bool cooperative_launch = false;
    bool cluster_launch = false;
    bool memory_pools = false;
};

/// @throws NoDevice where the ordinal is out of range, DriverError where CUDA refuses.
[[nodiscard]] OPFORGE_API DeviceInfo device_info(const DriverApi& api, int ordinal);
/// @throws DriverError
[[nodiscard]] OPFORGE_API int device_count(const DriverApi& api);

}  // namespace opforge::driver
