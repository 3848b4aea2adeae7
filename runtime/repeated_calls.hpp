// Calls of ds_quantizer on a device that are like an earlier one of the same thread: other
// addresses, the same shape, flags and device. They go from a handful of comparisons to their
// launch. What a call costs beyond its launch is mostly code and data that the driver's own work
// has pushed out of the processor's first caches, so that fewer lines touched count for more than
// fewer instructions. Private.
#pragma once

#include "fake_quantize_task.hpp"

#include <opforge/driver/launch.hpp>
#include <opforge/kernels/fake_quantize_arguments.cuh>
#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <cstdint>
#include <optional>

namespace opforge::runtime {

/// Launches where this thread has launched such a call before and every check of it holds for these
/// addresses, too. @return whether it was launched; where it was not, nothing was done
/// @param output the tensor that the result goes to, which may be `input`
/// @param random the caller's state, or none: then that of the process, which is left here for the
///     call to go on with where it was taken and nothing was launched
[[nodiscard]] bool repeat_call(const TensorView& input, const TensorView& output,
                               std::int64_t groups, int bits, bool stochastic, bool asymmetric,
                               const CallOptions& options, std::optional<RandomState>& random);

/// What a call of one launch came to. Only calls whose context is the device's primary one, which
/// stays what it is.
struct LaunchedCall {
    const driver::DriverApi* api;
    driver::ContextHandle context;
    driver::KernelHandle kernel;
    driver::LaunchConfig config;
    kernels::FakeQuantizeArguments arguments;
};
void remember_call(const FakeQuantizeTask& task, int device, const LaunchedCall& call) noexcept;

/// Forgets the calls of all threads: their kernels are about to be unloaded.
void forget_calls() noexcept;

}  // namespace opforge::runtime
