#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>

#include <fmt/format.h>

namespace opforge::driver {

namespace {

std::string describe(const LaunchConfig& config, const char* label) {
    std::string text =
        fmt::format("{}, grid {}x{}x{}, block {}x{}x{}, {} bytes of shared memory", label,
                    config.grid_x, config.grid_y, config.grid_z, config.block_x, config.block_y,
                    config.block_z, config.shared_bytes);
    if (config.has_cluster()) {
        text +=
            fmt::format(", cluster {}x{}x{}", config.cluster_x, config.cluster_y, config.cluster_z);
    }
    if (config.cooperative) {
        text += ", cooperative";
    }
    return text;
}

}  // namespace

void launch(const DriverApi& api, KernelHandle kernel, const LaunchConfig& config,
            StreamHandle stream, void** arguments, const char* label) {
    check_launch(api, api.launch(kernel, config, stream, arguments), config, label);
}

void check_launch(const DriverApi& api, int result, const LaunchConfig& config, const char* label) {
    if (result != 0) {
        const bool extended = config.cooperative || config.has_cluster();
        throw DriverError(api, result, extended ? "cuLaunchKernelEx" : "cuLaunchKernel",
                          describe(config, label));
    }
}

}  // namespace opforge::driver
