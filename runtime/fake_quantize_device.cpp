#include "fake_quantize_device.hpp"
#include "device_call.hpp"
#include "random_arguments.hpp"
#include "repeated_calls.hpp"
#include "resident_clusters.hpp"
#include "stream_boards.hpp"

#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>
#include <opforge/kernels/fake_quantize_arguments.cuh>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <bit>
#include <cstdint>

namespace opforge::runtime {
namespace {

constexpr const char* kOp = "ds_quantizer";

FakeQuantizeVariant variant_of(const FakeQuantizeTask& task, FakeQuantizeKernel kernel) {
    return {.element = element_of(task.dtype),
            .stochastic = task.stochastic,
            .asymmetric = task.asymmetric,
            .kernel = kernel};
}

/// One call, with its context current.
class Call {
public:
    Call(const FakeQuantizeTask& task, QuantizerModule& module, driver::ContextHandle context,
         driver::StreamHandle stream, driver::DevicePointer device_random)
        : task_(task), module_(module), context_(context), stream_(stream),
          arguments_{
              .launch = {.groups = task.groups,
                         .group_size = task.group_size,
                         .lanes = 0,
                         .aligned = is_aligned(std::bit_cast<std::uintptr_t>(task.input) |
                                                   std::bit_cast<std::uintptr_t>(task.output),
                                               task.group_size, size_bytes(task.dtype))
                                        ? 1U
                                        : 0U,
                         .slice_size = 0,
                         .slices = 0,
                         .keeps = 0},
              .input = task.input,
              .output = task.output,
              .levels = task.levels(),
              .inverse_levels = 1.0F / task.levels(),
              .code_min = task.code_min(),
              .code_max = task.code_max(),
              .random =
                  task.stochastic
                      ? random_arguments(task.random, task.groups * task.group_size, device_random)
                      : kernels::RandomArguments{},
              .ranges = nullptr,
              .board = nullptr,
              .tag = 0},
          // Kernels for aligned tensors draw for scheduled launches only.
          shape_{.groups = task.groups,
                 .group_size = task.group_size,
                 .element_bytes = static_cast<int>(size_bytes(task.dtype)),
                 .aligned = arguments_.launch.aligned != 0 &&
                            (!task.stochastic || arguments_.random.scheduled != 0),
                 .stochastic = task.stochastic} {}

    void run() {
        const FakeQuantizePlan plan = plan_fake_quantize(shape_, module_.facts());
        switch (plan.kernel) {
        case FakeQuantizeKernel::split:
            launch_split(plan);
            return;
        case FakeQuantizeKernel::cluster:
        case FakeQuantizeKernel::grid:
        case FakeQuantizeKernel::few:
            if (!launch_team(plan)) {
                launch_split(plan_fake_quantize_split(shape_, module_.facts()));
            }
            return;
        default: {
            const ProgramKernels& kernels = kernels_of(plan);
            launch(kernels, kernels.in(context_).first, plan);
            remember(kernels, plan);
        }
        }
    }

private:
    const ProgramKernels& kernels_of(const FakeQuantizePlan& plan) {
        return kernels_for_call(kOp, module_, stream_, variant_of(task_, plan.kernel));
    }

    driver::LaunchConfig prepare(const ProgramKernels& kernels, const FakeQuantizePlan& plan) {
        arguments_.launch.lanes = plan.lanes;
        arguments_.launch.slice_size = plan.slice_size;
        arguments_.launch.slices = plan.slices;
        arguments_.launch.keeps = plan.keeps;
        driver::LaunchConfig config{
            .grid_x = plan.grid, .block_x = plan.block, .shared_bytes = plan.shared_bytes};
        if (plan.kernel == FakeQuantizeKernel::cluster || plan.kernel == FakeQuantizeKernel::few) {
            config.cluster_x = plan.slices;
        }
        if (plan.kernel == FakeQuantizeKernel::cluster) {
            config.grid_x = kernels.resident->grid(module_.api(), kernels.in(context_).first,
                                                   config, module_.facts().multiprocessors);
        }
        config.cooperative = needs_board(plan);
        return config;
    }

    void launch(const ProgramKernels& kernels, driver::KernelHandle kernel,
                const FakeQuantizePlan& plan) {
        void* arguments[] = {&arguments_};
        driver::launch(module_.api(), kernel, prepare(kernels, plan), stream_, arguments,
                       kernels.program->name().c_str());
    }

    /// A call of one launch, without memory of the stream's, may be repeated for other addresses.
    void remember(const ProgramKernels& kernels, const FakeQuantizePlan& plan) {
        if (context_ == kernels.primary && arguments_.random.device_random == nullptr) {
            remember_call(task_, module_.device().ordinal,
                          {.api = &module_.api(),
                           .context = context_,
                           .kernel = kernels.functions.first,
                           .config = prepare(kernels, plan),
                           .arguments = arguments_});
        }
    }

    void launch_split(const FakeQuantizePlan& plan) {
        const ProgramKernels& kernels = kernels_of(plan);
        const StreamWorkspace workspace(module_, stream_, plan.workspace_bytes);
        arguments_.ranges = std::bit_cast<void*>(workspace.address());
        launch(kernels, kernels.in(context_).first, plan);
        launch(kernels, kernels.in(context_).second, plan);
    }

    /// Whether blocks tell each other ranges through memory, and all must be resident.
    static bool needs_board(const FakeQuantizePlan& plan) {
        return plan.kernel == FakeQuantizeKernel::grid && plan.slices > 1;
    }

    /// False where the launch was refused, and nothing was done.
    bool launch_team(const FakeQuantizePlan& plan) {
        if (!needs_board(plan)) {
            const bool launched = launch_unless_refused(plan);
            if (launched) {
                remember(kernels_of(plan), plan);
            }
            return launched;
        }
        if (!is_capturing(module_.api(), stream_)) {
            if (const auto board = module_.boards().board(stream_, plan.rounds)) {
                return launch_with(board->address, board->tag, plan);
            }
        }
        const std::uint64_t bytes = board_bytes(plan);
        const StreamWorkspace workspace(module_, stream_, bytes);
        driver::check(module_.api(),
                      module_.api().fill_async(workspace.address(), 0, bytes, stream_),
                      "cuMemsetD8Async");
        return launch_with(workspace.address(), 1, plan);
    }

    bool launch_with(driver::DevicePointer board, std::uint32_t tag, const FakeQuantizePlan& plan) {
        arguments_.board = std::bit_cast<unsigned long long*>(board);
        arguments_.tag = tag;
        return launch_unless_refused(plan);
    }

    bool launch_unless_refused(const FakeQuantizePlan& plan) {
        const ProgramKernels& kernels = kernels_of(plan);
        void* arguments[] = {&arguments_};
        return try_launch(module_.api(), kernels.in(context_).first, prepare(kernels, plan),
                          stream_, arguments, kernels.program->name().c_str());
    }

    const FakeQuantizeTask& task_;
    QuantizerModule& module_;
    driver::ContextHandle context_;
    driver::StreamHandle stream_;
    kernels::FakeQuantizeArguments arguments_;
    FakeQuantizeShape shape_;
};

}  // namespace

void fake_quantize_on_device(const FakeQuantizeTask& task, int device, driver::StreamHandle stream,
                             driver::DevicePointer device_random) {
    QuantizerModule& module = module_for_call(kOp, device);
    const CallContext context(kOp, module, stream);
    Call(task, module, context.context(), stream, device_random).run();
}

}  // namespace opforge::runtime
