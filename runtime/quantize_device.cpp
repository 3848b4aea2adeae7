#include "quantize_device.hpp"
#include "device_call.hpp"
#include "divisor.hpp"
#include "random_arguments.hpp"
#include "resident_clusters.hpp"

#include <opforge/driver/launch.hpp>
#include <opforge/kernels/quantize_arguments.cuh>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantizer_program.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>

namespace opforge::runtime {
namespace {

using driver::StreamHandle;

bool is_aligned(const void* address, std::size_t to) {
    return std::bit_cast<std::uintptr_t>(address) % to == 0;
}
bool values_are_aligned(const void* address) {
    return is_aligned(address, 16);
}
/// Eight codes of `bits` bits are `bits` bytes.
bool codes_are_aligned(const void* address, int bits) {
    return is_aligned(address, static_cast<std::size_t>(bits));
}

/// Whether every eight elements of every tensor move as whole vectors.
bool is_aligned(const QuantizeTask& task) {
    return task.group_size % 8 == 0 && values_are_aligned(task.input) &&
           values_are_aligned(task.error) && codes_are_aligned(task.codes, task.bits) &&
           codes_are_aligned(task.reduction.codes, task.bits);
}

bool is_reduction(const QuantizeTask& task) {
    return task.reduction.codes != nullptr;
}

/// Octets that a thread of kernel `groups` has at most: kBatch of its source.
int batch_of(const QuantizeTask& task) {
    const bool error_first = is_reduction(task) && task.error != nullptr && !task.asymmetric &&
                             task.dtype == Dtype::float16;
    return task.dtype == Dtype::float32 || error_first ? 2 : 4;
}

/// What kernel `cluster` keeps of eight elements: they, and their error.
int octet_bytes(const QuantizeTask& task) {
    if (is_reduction(task)) {
        return 0;
    }
    return static_cast<int>(8 * size_bytes(task.dtype)) * (task.error != nullptr ? 2 : 1);
}

/// Whether kernel `groups` can do it, which is aligned and counts groups and octets in 32 bits. A
/// reduction's codes move a batch at a time.
bool is_for_batches(const QuantizeTask& task) {
    constexpr std::int64_t kMostGroups = std::int64_t{1} << 31U;
    constexpr std::int64_t kMostElements = std::int64_t{8} << 32U;
    const bool small = task.groups < kMostGroups && task.group_size < kMostElements;
    if (!small || task.group_size == 0 || !is_aligned(task)) {
        return false;
    }
    const int run = batch_of(task);
    const auto run_bytes = std::min<std::size_t>(static_cast<std::size_t>(run * task.bits), 16);
    return !is_reduction(task) ||
           (task.reduction.elements < kMostElements && task.group_size % (8 * run) == 0 &&
            task.reduction.group_size % (8 * run) == 0 && is_aligned(task.codes, run_bytes) &&
            is_aligned(task.reduction.codes, run_bytes));
}

/// `run`: octets that are read at once.
kernels::ReductionArguments reduction_arguments(const ReductionInput& from, int run) {
    return {.codes = from.codes,
            .params = from.params,
            .elements = from.elements,
            .groups = from.groups,
            .group_size = from.group_size,
            .devices = from.devices,
            .by_runs = divisor_of(std::max<std::int64_t>(from.group_size / (8 * run), 1))};
}

kernels::SwizzleArguments swizzle_arguments(const Swizzle& by) {
    if (by.contiguous == 0) {
        return {};
    }
    return {.pipeline_size = by.pipeline_size,
            .nodes = by.nodes,
            .devices_per_node = by.devices_per_node,
            .contiguous = by.contiguous,
            .by_pipeline_size = divisor_of(by.pipeline_size),
            .by_devices_per_node = divisor_of(by.devices_per_node),
            .by_contiguous = divisor_of(by.contiguous)};
}

CodesVariant variant_of(const QuantizeTask& task, QuantizeKernel kernel) {
    using Op = CodesVariant::Op;
    const bool feedback = task.error != nullptr;
    const Op op = is_reduction(task)
                      ? (feedback ? Op::loco_quantized_reduction : Op::quantized_reduction)
                      : (feedback ? Op::loco_swizzle_quant : Op::quantize);
    return {.op = op,
            .element = element_of(task.dtype),
            .stochastic = task.stochastic,
            .asymmetric = task.asymmetric,
            .kernel = kernel};
}

kernels::QuantizeArguments arguments_of(const QuantizeTask& task,
                                        driver::DevicePointer device_random) {
    return {
        .launch = {.groups = task.groups,
                   .group_size = task.group_size,
                   .lanes = 0,
                   .aligned = is_aligned(task) ? 1U : 0U,
                   .slice_size = 0,
                   .slices = 0,
                   .keeps = 0},
        .input = task.input,
        .error = task.error,
        .codes = task.codes,
        .params = task.params,
        .ranges = nullptr,
        .reduction = is_reduction(task) ? reduction_arguments(task.reduction, batch_of(task))
                                        : kernels::ReductionArguments{},
        .swizzle = swizzle_arguments(task.swizzle),
        .bits = static_cast<unsigned>(task.bits),
        .err_beta = task.err_beta,
        .err_keep = 1.0F - task.err_beta,
        .random = task.stochastic
                      ? random_arguments(task.random, task.groups * task.group_size, device_random)
                      : kernels::RandomArguments{},
    };
}

/// False where a cluster's launch was refused, and nothing was done.
bool launch(const char* op, const QuantizeTask& task, const QuantizePlan& plan,
            kernels::QuantizeArguments& arguments, QuantizerModule& module,
            const CallContext& context, StreamHandle stream) {
    const driver::DriverApi& api = module.api();
    const ProgramKernels& program =
        kernels_for_call(op, module, stream, variant_of(task, plan.kernel));
    const ProgramKernels::Handles& handles = program.in(context.context());
    arguments.launch.lanes = plan.lanes;
    arguments.launch.slice_size = plan.slice_size;
    arguments.launch.slices = plan.slices;
    void* launch_arguments[] = {&arguments};
    driver::LaunchConfig config{
        .grid_x = plan.grid, .block_x = plan.block, .shared_bytes = plan.shared_bytes};
    const char* label = program.program->name().c_str();
    if (plan.kernel == QuantizeKernel::cluster) {
        config.cluster_x = static_cast<std::uint32_t>(plan.slices);
        config.grid_x =
            program.resident->grid(api, handles.first, config, module.facts().multiprocessors);
        return try_launch(api, handles.first, config, stream, launch_arguments, label);
    }
    if (plan.kernel != QuantizeKernel::split) {
        driver::launch(api, handles.first, config, stream, launch_arguments, label);
        return true;
    }
    const StreamWorkspace workspace(module, stream, plan.workspace_bytes);
    arguments.ranges = std::bit_cast<void*>(workspace.address());
    driver::launch(api, handles.first, config, stream, launch_arguments, label);
    driver::launch(api, handles.second, config, stream, launch_arguments, label);
    return true;
}

}  // namespace

void quantize_on_device(const char* op, const QuantizeTask& task, int device, StreamHandle stream,
                        driver::DevicePointer device_random) {
    QuantizerModule& module = module_for_call(op, device);
    const CallContext context(op, module, stream);
    kernels::QuantizeArguments arguments = arguments_of(task, device_random);
    const QuantizeShape shape{
        .groups = task.groups,
        .group_size = task.group_size,
        .batch = batch_of(task),
        // Kernels for aligned tensors draw for scheduled launches only.
        .aligned = is_for_batches(task) && (!task.stochastic || arguments.random.scheduled != 0),
        .octet_bytes = octet_bytes(task),
        .has_small = !is_reduction(task) && task.error == nullptr && !task.stochastic};
    const QuantizePlan plan = plan_quantize(shape, module.facts());
    if (plan.kernel == QuantizeKernel::cluster) {
        if (launch(op, task, plan, arguments, module, context, stream)) {
            return;
        }
        PlanFacts facts = module.facts();
        facts.cluster_launch = false;
        launch(op, task, plan_quantize(shape, facts), arguments, module, context, stream);
        return;
    }
    launch(op, task, plan, arguments, module, context, stream);
}

void dequantize_on_device(const char* op, const DequantizeTask& task, int device,
                          StreamHandle stream) {
    QuantizerModule& module = module_for_call(op, device);
    const CallContext context(op, module, stream);
    const auto element_bytes = static_cast<std::int64_t>(size_bytes(task.dtype));
    const bool aligned = task.group_size % 8 == 0 && values_are_aligned(task.output) &&
                         codes_are_aligned(task.codes, task.bits);
    const DequantizePlan plan =
        plan_dequantize(task.groups, task.group_size, static_cast<int>(element_bytes), aligned);
    const CodesVariant variant{.op = CodesVariant::Op::dequantize,
                               .element = element_of(task.dtype),
                               .asymmetric = task.asymmetric};
    const ProgramKernels& program = kernels_for_call(op, module, stream, variant);
    kernels::DequantizeArguments arguments{
        .launch = {.groups = task.groups,
                   .group_size = task.group_size,
                   .lanes = plan.lanes,
                   .aligned = 0,
                   .slice_size = plan.slice_size,
                   .slices = plan.slices,
                   .keeps = 0},
        .by_slices = divisor_of(plan.slices),
        .by_chunks = divisor_of(std::max<std::int64_t>(plan.chunks_a_group, 1)),
        .codes = task.codes,
        .params = task.params,
        .output = task.output,
        .bits = static_cast<unsigned>(task.bits),
        .chunks = 0,
    };
    void* launch_arguments[] = {&arguments};
    const auto launch_on = [&](std::uint32_t grid) {
        driver::launch(module.api(), program.in(context.context()).first,
                       {.grid_x = grid, .block_x = plan.block}, stream, launch_arguments,
                       program.program->name().c_str());
    };
    if (plan.chunks_a_group == 0) {
        launch_on(plan.grid);
        return;
    }
    for (std::int64_t done = 0; done < task.groups; done += plan.groups) {
        const std::int64_t groups = std::min(plan.groups, task.groups - done);
        const std::int64_t first = done * task.group_size;
        arguments.launch.groups = groups;
        arguments.codes = task.codes + first / 8 * task.bits;
        arguments.params = task.params + done * (task.asymmetric ? 2 : 1);
        arguments.output = static_cast<std::byte*>(task.output) + first * element_bytes;
        arguments.chunks = static_cast<unsigned>(groups * plan.chunks_a_group);
        launch_on(dequantize_grid(plan, groups));
    }
}

void dequantize_experimental_on_device(const char* op, const ExperimentalDequantizeTask& task,
                                       int device, StreamHandle stream) {
    QuantizerModule& module = module_for_call(op, device);
    const CallContext context(op, module, stream);
    const DequantizePlan plan = plan_dequantize(task.groups, task.group_size, 2, false);
    const ProgramKernels& program = kernels_for_call(
        op, module, stream, CodesVariant{.op = CodesVariant::Op::dequantize_experimental});
    const bool aligned = task.group_size % 8 == 0 && values_are_aligned(task.output) &&
                         codes_are_aligned(task.codes, task.bits);
    kernels::ExperimentalDequantizeArguments arguments{
        .launch = {.groups = task.groups,
                   .group_size = task.group_size,
                   .lanes = plan.lanes,
                   .aligned = aligned ? 1U : 0U,
                   .slice_size = plan.slice_size,
                   .slices = plan.slices,
                   .keeps = 0},
        .by_slices = divisor_of(plan.slices),
        .codes = task.codes,
        .scale = task.scale,
        .min = task.min,
        .output = task.output,
        .bits = static_cast<unsigned>(task.bits),
    };
    void* launch_arguments[] = {&arguments};
    driver::launch(module.api(), program.in(context.context()).first,
                   {.grid_x = plan.grid, .block_x = plan.block}, stream, launch_arguments,
                   program.program->name().c_str());
}

}  // namespace opforge::runtime
