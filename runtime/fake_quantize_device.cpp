#include "fake_quantize_device.hpp"
#include "device_call.hpp"
#include "stream_boards.hpp"

#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>
#include <opforge/kernels/fake_quantize_arguments.cuh>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <bit>
#include <cstddef>
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

/// Philox's round keys: each round adds a constant to both words of the seed.
void schedule_keys(std::uint64_t seed, unsigned (&keys)[20]) {
    auto first = static_cast<std::uint32_t>(seed);
    auto second = static_cast<std::uint32_t>(seed >> 32U);
    for (std::size_t round = 0; round < 10; ++round) {
        keys[2 * round] = first;
        keys[2 * round + 1] = second;
        first += 0x9E3779B9U;
        second += 0xBB67AE85U;
    }
}

/// What CUDA says where fewer blocks or clusters can be resident than the device's facts promise.
bool is_refusal(int result) {
    constexpr int kLaunchOutOfResources = 701;
    constexpr int kCooperativeLaunchTooLarge = 720;
    constexpr int kInvalidClusterSize = 912;
    return result == kLaunchOutOfResources || result == kCooperativeLaunchTooLarge ||
           result == kInvalidClusterSize;
}

/// One call, with its context current.
class Call {
public:
    Call(const FakeQuantizeTask& task, QuantizerModule& module, driver::StreamHandle stream,
         driver::DevicePointer device_random)
        : task_(task), module_(module),
          stream_(stream), shape_{.groups = task.groups,
                                  .group_size = task.group_size,
                                  .element_bytes = static_cast<int>(size_bytes(task.dtype)),
                                  .aligned = is_aligned(task),
                                  .stochastic = task.stochastic},
          arguments_{.launch = {.groups = task.groups,
                                .group_size = task.group_size,
                                .lanes = 0,
                                .aligned = shape_.aligned ? 1U : 0U,
                                .slice_size = 0,
                                .slices = 0,
                                .keeps = 0},
                     .input = task.input,
                     .output = task.output,
                     .levels = task.levels(),
                     .inverse_levels = 1.0F / task.levels(),
                     .code_min = task.code_min(),
                     .code_max = task.code_max(),
                     .seed = task.random.seed,
                     .offset = task.random.offset,
                     .round_keys = {},
                     .device_random = std::bit_cast<const unsigned long long*>(device_random),
                     .ranges = nullptr,
                     .board = nullptr,
                     .tag = 0} {
        if (task.stochastic) {
            schedule_keys(task.random.seed, arguments_.round_keys);
        }
    }

    void run() {
        const FakeQuantizePlan plan = plan_fake_quantize(shape_, module_.facts());
        switch (plan.kernel) {
        case FakeQuantizeKernel::split:
            launch_split(plan);
            return;
        case FakeQuantizeKernel::cluster:
        case FakeQuantizeKernel::grid:
            if (!launch_team(plan)) {
                launch_split(plan_fake_quantize_split(shape_, module_.facts()));
            }
            return;
        default:
            launch(kernels_of(plan).first, plan);
        }
    }

private:
    const ProgramKernels& kernels_of(const FakeQuantizePlan& plan) {
        return kernels_for_call(kOp, module_, stream_, variant_of(task_, plan.kernel));
    }

    driver::LaunchConfig prepare(const FakeQuantizePlan& plan) {
        arguments_.launch.lanes = plan.lanes;
        arguments_.launch.slice_size = plan.slice_size;
        arguments_.launch.slices = plan.slices;
        arguments_.launch.keeps = plan.keeps;
        driver::LaunchConfig config{
            .grid_x = plan.grid, .block_x = plan.block, .shared_bytes = plan.shared_bytes};
        if (plan.kernel == FakeQuantizeKernel::cluster) {
            config.cluster_x = plan.slices;
        }
        config.cooperative = plan.kernel == FakeQuantizeKernel::grid;
        return config;
    }

    void launch(driver::KernelHandle kernel, const FakeQuantizePlan& plan) {
        const driver::LaunchConfig config = prepare(plan);
        void* arguments[] = {&arguments_};
        driver::launch(module_.api(), kernel, config, stream_, arguments,
                       kernels_of(plan).program->name().c_str());
    }

    void launch_split(const FakeQuantizePlan& plan) {
        const ProgramKernels& kernels = kernels_of(plan);
        const StreamWorkspace workspace(module_, stream_, plan.workspace_bytes);
        arguments_.ranges = std::bit_cast<void*>(workspace.address());
        launch(kernels.first, plan);
        launch(kernels.second, plan);
    }

    /// False where the launch was refused, and nothing was done.
    bool launch_team(const FakeQuantizePlan& plan) {
        const driver::KernelHandle kernel = kernels_of(plan).first;
        if (plan.kernel == FakeQuantizeKernel::cluster) {
            return try_launch(kernel, plan);
        }
        if (!is_capturing(module_.api(), stream_)) {
            if (const auto board = module_.boards().board(stream_, plan.rounds)) {
                arguments_.board = std::bit_cast<unsigned long long*>(board->address);
                arguments_.tag = board->tag;
                return try_launch(kernel, plan);
            }
        }
        const std::uint64_t bytes = board_bytes(plan);
        const StreamWorkspace workspace(module_, stream_, bytes);
        driver::check(module_.api(),
                      module_.api().fill_async(workspace.address(), 0, bytes, stream_),
                      "cuMemsetD8Async");
        arguments_.board = std::bit_cast<unsigned long long*>(workspace.address());
        arguments_.tag = 1;
        return try_launch(kernel, plan);
    }

    bool try_launch(driver::KernelHandle kernel, const FakeQuantizePlan& plan) {
        const driver::LaunchConfig config = prepare(plan);
        void* arguments[] = {&arguments_};
        const int result = module_.api().launch(kernel, config, stream_, arguments);
        if (is_refusal(result)) {
            return false;
        }
        driver::check_launch(module_.api(), result, config,
                             kernels_of(plan).program->name().c_str());
        return true;
    }

    static constexpr const char* kOp = "ds_quantizer";
    const FakeQuantizeTask& task_;
    QuantizerModule& module_;
    driver::StreamHandle stream_;
    FakeQuantizeShape shape_;
    kernels::FakeQuantizeArguments arguments_;
};

}  // namespace

void fake_quantize_on_device(const FakeQuantizeTask& task, int device, driver::StreamHandle stream,
                             driver::DevicePointer device_random) {
    constexpr const char* kOp = "ds_quantizer";
    QuantizerModule& module = module_for_call(kOp, device);
    const CallContext context(kOp, module, stream);
    Call(task, module, stream, device_random).run();
}

}  // namespace opforge::runtime
