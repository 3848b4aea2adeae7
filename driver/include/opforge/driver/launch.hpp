// One kernel launch: plain, cooperative, or with clusters.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/driver/driver_api.hpp>

namespace opforge::driver {

/// What launch() takes as a kernel in `function`'s own context: cuLaunchKernel takes either. By a
/// kernel the driver finds the function at each launch, which costs it some 50 ns.
[[nodiscard]] inline KernelHandle as_kernel(FunctionHandle function) noexcept {
    return reinterpret_cast<KernelHandle>(function);
}

/// Queues `kernel` on `stream` in the current context and returns before the device has run it.
///   arguments  pointers to the kernel's arguments, in order, each of the kernel's exact type
/// No allocation, no lock. @throws DriverError naming `label`, CUDA's reason and the launch's
/// shape.
OPFORGE_API void launch(const DriverApi& api, KernelHandle kernel, const LaunchConfig& config,
                        StreamHandle stream, void** arguments, const char* label);

/// The second half of it, for callers that do something about some results.
/// @throws DriverError as launch() does, where `result` is not success
OPFORGE_API void check_launch(const DriverApi& api, int result, const LaunchConfig& config,
                              const char* label);

}  // namespace opforge::driver
