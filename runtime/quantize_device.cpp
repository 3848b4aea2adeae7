#include "quantize_device.hpp"
#include "device_call.hpp"
#include "random_arguments.hpp"

#include <opforge/driver/launch.hpp>
#include <opforge/kernels/quantize_arguments.cuh>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantizer_program.hpp>

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

CodesVariant variant_of(const QuantizeTask& task, bool split) {
    using Op = CodesVariant::Op;
    const bool feedback = task.error != nullptr;
    const Op op = task.reduction.codes != nullptr
                      ? (feedback ? Op::loco_quantized_reduction : Op::quantized_reduction)
                      : (feedback ? Op::loco_swizzle_quant : Op::quantize);
    return {.op = op,
            .element = element_of(task.dtype),
            .stochastic = task.stochastic,
            .asymmetric = task.asymmetric,
            .split = split};
}

}  // namespace

void quantize_on_device(const char* op, const QuantizeTask& task, int device, StreamHandle stream,
                        driver::DevicePointer device_random) {
    QuantizerModule& module = module_for_call(op, device);
    const driver::DriverApi& api = module.api();
    const CallContext context(op, module, stream);
    // A sum over devices is too dear to be made twice.
    const int octets_a_thread = task.reduction.codes != nullptr ? 1 : 2;
    const QuantizePlan plan =
        plan_quantize(task.groups, task.group_size, module.facts(), octets_a_thread);
    const ProgramKernels& program =
        kernels_for_call(op, module, stream, variant_of(task, plan.split));

    kernels::QuantizeArguments arguments{
        .launch = {.groups = task.groups,
                   .group_size = task.group_size,
                   .lanes = plan.lanes,
                   .aligned = is_aligned(task) ? 1U : 0U,
                   .slice_size = plan.slice_size,
                   .slices = plan.slices,
                   .keeps = 0},
        .input = task.input,
        .error = task.error,
        .codes = task.codes,
        .params = task.params,
        .ranges = nullptr,
        .reduction = {.codes = task.reduction.codes,
                      .params = task.reduction.params,
                      .elements = task.reduction.elements,
                      .groups = task.reduction.groups,
                      .group_size = task.reduction.group_size,
                      .devices = task.reduction.devices},
        .swizzle = {.pipeline_size = task.swizzle.pipeline_size,
                    .nodes = task.swizzle.nodes,
                    .devices_per_node = task.swizzle.devices_per_node,
                    .contiguous = task.swizzle.contiguous},
        .bits = static_cast<unsigned>(task.bits),
        .err_beta = task.err_beta,
        .err_keep = 1.0F - task.err_beta,
        .random = task.stochastic ? random_arguments(task.random, device_random)
                                  : kernels::RandomArguments{},
    };
    void* launch_arguments[] = {&arguments};
    const driver::LaunchConfig config{.grid_x = plan.grid, .block_x = plan.block};
    const char* label = program.program->name().c_str();
    const auto launch = [&](driver::KernelHandle kernel) {
        driver::launch(api, kernel, config, stream, launch_arguments, label);
    };
    if (!plan.split) {
        launch(program.first);
        return;
    }
    const StreamWorkspace workspace(module, stream, plan.workspace_bytes);
    arguments.ranges = std::bit_cast<void*>(workspace.address());
    launch(program.first);
    launch(program.second);
}

void dequantize_on_device(const char* op, const DequantizeTask& task, int device,
                          StreamHandle stream) {
    QuantizerModule& module = module_for_call(op, device);
    const CallContext context(op, module, stream);
    const DequantizePlan plan = plan_dequantize(task.groups, task.group_size);
    const CodesVariant variant{.op = CodesVariant::Op::dequantize,
                               .element = element_of(task.dtype),
                               .asymmetric = task.asymmetric};
    const ProgramKernels& program = kernels_for_call(op, module, stream, variant);
    const bool aligned = task.group_size % 8 == 0 && values_are_aligned(task.output) &&
                         codes_are_aligned(task.codes, task.bits);
    kernels::DequantizeArguments arguments{
        .launch = {.groups = task.groups,
                   .group_size = task.group_size,
                   .lanes = plan.lanes,
                   .aligned = aligned ? 1U : 0U,
                   .slice_size = plan.slice_size,
                   .slices = plan.slices,
                   .keeps = 0},
        .codes = task.codes,
        .params = task.params,
        .output = task.output,
        .bits = static_cast<unsigned>(task.bits),
    };
    void* launch_arguments[] = {&arguments};
    driver::launch(module.api(), program.first, {.grid_x = plan.grid, .block_x = plan.block},
                   stream, launch_arguments, program.program->name().c_str());
}

void dequantize_experimental_on_device(const char* op, const ExperimentalDequantizeTask& task,
                                       int device, StreamHandle stream) {
    QuantizerModule& module = module_for_call(op, device);
    const CallContext context(op, module, stream);
    const DequantizePlan plan = plan_dequantize(task.groups, task.group_size);
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
        .codes = task.codes,
        .scale = task.scale,
        .min = task.min,
        .output = task.output,
        .bits = static_cast<unsigned>(task.bits),
    };
    void* launch_arguments[] = {&arguments};
    driver::launch(module.api(), program.first, {.grid_x = plan.grid, .block_x = plan.block},
                   stream, launch_arguments, program.program->name().c_str());
}

}  // namespace opforge::runtime
