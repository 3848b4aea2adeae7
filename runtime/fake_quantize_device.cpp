#include "fake_quantize_device.hpp"
#include "device_call.hpp"

#include <opforge/driver/launch.hpp>
#include <opforge/kernels/fake_quantize_arguments.cuh>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <bit>
#include <cstdint>

namespace opforge::runtime {
namespace {

FakeQuantizeVariant variant_of(const FakeQuantizeTask& task, FakeQuantizeKernel kernel) {
    return {.element = element_of(task.dtype),
            .stochastic = task.stochastic,
            .asymmetric = task.asymmetric,
            .kernel = kernel};
}

/// Whether every 16 bytes of the tensors move as a whole vector: slices are multiples of 64
/// elements.
bool is_aligned(const FakeQuantizeTask& task) {
    constexpr std::uintptr_t kVectorBytes = 16;
    const auto group_bytes = static_cast<std::uintptr_t>(task.group_size) * size_bytes(task.dtype);
    return (std::bit_cast<std::uintptr_t>(task.input) | std::bit_cast<std::uintptr_t>(task.output) |
            group_bytes) %
               kVectorBytes ==
           0;
}

}  // namespace

void fake_quantize_on_device(const FakeQuantizeTask& task, int device, driver::StreamHandle stream,
                             driver::DevicePointer device_random) {
    constexpr const char* kOp = "ds_quantizer";
    QuantizerModule& module = module_for_call(kOp, device);
    const driver::DriverApi& api = module.api();
    const CallContext context(kOp, module, stream);
    const bool aligned = is_aligned(task);
    const FakeQuantizePlan plan =
        plan_fake_quantize({.groups = task.groups,
                            .group_size = task.group_size,
                            .element_bytes = static_cast<int>(size_bytes(task.dtype)),
                            .aligned = aligned,
                            .chunks_a_lane = task.stochastic ? 2 : 1},
                           module.facts());
    const ProgramKernels& kernels =
        kernels_for_call(kOp, module, stream, variant_of(task, plan.kernel));

    kernels::FakeQuantizeArguments arguments{
        .launch = {.groups = task.groups,
                   .group_size = task.group_size,
                   .lanes = plan.lanes,
                   .aligned = aligned ? 1U : 0U,
                   .slice_size = plan.slice_size,
                   .slices = plan.slices,
                   .keeps = plan.shared_bytes > 0 ? 1U : 0U},
        .input = task.input,
        .output = task.output,
        .levels = task.levels(),
        .inverse_levels = 1.0F / task.levels(),
        .code_min = task.code_min(),
        .code_max = task.code_max(),
        .seed = task.random.seed,
        .offset = task.random.offset,
        .device_random = std::bit_cast<const unsigned long long*>(device_random),
        .ranges = nullptr,
    };
    void* launch_arguments[] = {&arguments};
    const driver::LaunchConfig config{
        .grid_x = plan.grid, .block_x = plan.block, .shared_bytes = plan.shared_bytes};
    const char* label = kernels.program->name().c_str();
    const auto launch = [&](driver::KernelHandle kernel) {
        driver::launch(api, kernel, config, stream, launch_arguments, label);
    };

    if (plan.workspace_bytes == 0) {
        launch(kernels.first);
        return;
    }
    const StreamWorkspace workspace(module, stream, plan.workspace_bytes);
    arguments.ranges = std::bit_cast<void*>(workspace.address());
    launch(kernels.first);
    launch(kernels.second);
}

}  // namespace opforge::runtime
