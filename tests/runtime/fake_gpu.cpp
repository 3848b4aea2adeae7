#include "runtime/fake_gpu.hpp"

#include "host/fake_quantize_host.hpp"
#include "host/quantize_host.hpp"

#include <opforge/kernels/fake_quantize_arguments.cuh>
#include <opforge/kernels/quantize_arguments.cuh>

#include <cmath>
#include <utility>

namespace opforge::test {
namespace {

runtime::Dtype dtype_of(const std::string& kernel) {
    if (kernel.find("_fp16_") != std::string::npos) {
        return runtime::Dtype::float16;
    }
    return kernel.find("_bf16_") != std::string::npos ? runtime::Dtype::bfloat16
                                                      : runtime::Dtype::float32;
}

constexpr int kInvalidValue = 1;

bool has(const FakeLaunch& launch, const char* part) {
    return launch.kernel.find(part) != std::string::npos;
}

runtime::RandomState random_of(const kernels::RandomArguments& arguments) {
    if (arguments.device_random != nullptr) {
        return {arguments.device_random[0], arguments.device_random[1]};
    }
    return {arguments.seed, arguments.offset};
}

int run_fake_quantize(const FakeLaunch& launch) {
    const auto& arguments =
        *static_cast<const kernels::FakeQuantizeArguments*>(launch.arguments[0]);
    runtime::FakeQuantizeTask task;
    task.input = arguments.input;
    task.output = arguments.output;
    task.dtype = dtype_of(launch.kernel);
    task.groups = arguments.launch.groups;
    task.group_size = arguments.launch.group_size;
    task.bits = static_cast<int>(std::lround(std::log2(arguments.levels)));
    task.stochastic = launch.kernel.find("_sr_") != std::string::npos;
    task.asymmetric = launch.kernel.find("_asym_") != std::string::npos;
    task.random = random_of(arguments.random);
    if (task.code_min() != arguments.code_min || task.code_max() != arguments.code_max) {
        return kInvalidValue;
    }
    runtime::host::fake_quantize(task, 1);
    return 0;
}

int run_quantize(const FakeLaunch& launch) {
    const auto& arguments = *static_cast<const kernels::QuantizeArguments*>(launch.arguments[0]);
    runtime::QuantizeTask task;
    task.dtype = dtype_of(launch.kernel);
    task.input = arguments.input;
    task.reduction = {arguments.reduction.codes,   arguments.reduction.params,
                      arguments.reduction.devices, arguments.reduction.elements,
                      arguments.reduction.groups,  arguments.reduction.group_size};
    task.error = arguments.error;
    task.err_beta = arguments.err_beta;
    task.codes = arguments.codes;
    task.params = arguments.params;
    task.groups = arguments.launch.groups;
    task.group_size = arguments.launch.group_size;
    task.bits = static_cast<int>(arguments.bits);
    task.asymmetric = has(launch, "_asym_");
    task.swizzle = {arguments.swizzle.pipeline_size, arguments.swizzle.nodes,
                    arguments.swizzle.devices_per_node, arguments.swizzle.contiguous};
    task.stochastic = launch.kernel.starts_with("sr_");
    task.random = random_of(arguments.random);
    if (arguments.err_keep != 1.0F - arguments.err_beta ||
        has(launch, "loco") != (task.error != nullptr) ||
        has(launch, "reduction") != (task.reduction.codes != nullptr)) {
        return kInvalidValue;
    }
    runtime::host::quantize(task, 1);
    return 0;
}

int run_dequantize(const FakeLaunch& launch) {
    const auto& arguments = *static_cast<const kernels::DequantizeArguments*>(launch.arguments[0]);
    runtime::host::dequantize({.codes = arguments.codes,
                               .params = arguments.params,
                               .output = arguments.output,
                               .dtype = dtype_of(launch.kernel),
                               .groups = arguments.launch.groups,
                               .group_size = arguments.launch.group_size,
                               .bits = static_cast<int>(arguments.bits),
                               .asymmetric = has(launch, "_asym_")},
                              1);
    return 0;
}

int run_dequantize_experimental(const FakeLaunch& launch) {
    const auto& arguments =
        *static_cast<const kernels::ExperimentalDequantizeArguments*>(launch.arguments[0]);
    runtime::host::dequantize_experimental({.codes = arguments.codes,
                                            .scale = arguments.scale,
                                            .min = arguments.min,
                                            .output = arguments.output,
                                            .groups = arguments.launch.groups,
                                            .group_size = arguments.launch.group_size,
                                            .bits = static_cast<int>(arguments.bits)},
                                           1);
    return 0;
}

int run(const FakeLaunch& launch) {
    if (launch.kernel.ends_with("_range")) {
        return 0;  // `apply` finds the ranges itself
    }
    if (launch.kernel.starts_with("ds_")) {
        return run_fake_quantize(launch);
    }
    if (launch.kernel.starts_with("dequantize_experimental")) {
        return run_dequantize_experimental(launch);
    }
    return launch.kernel.starts_with("dequantize") ? run_dequantize(launch) : run_quantize(launch);
}

}  // namespace

FakeGpu::FakeGpu(std::vector<FakeDevice> devices)
    : driver(std::move(devices)), cache(std::make_shared<cache::Cache>(
                                      cache::CacheOptions{.directory = {}, .memory_only = true})) {
    driver.on_launch(run);
    runtime::configure_quantizer({.cache = cache,
                                  .compiler = compiler,
                                  .driver = &driver,
                                  .driver_version = 13000,
                                  .policy = cache::Policy::exact});
}

FakeGpu::~FakeGpu() {
    runtime::configure_quantizer({});
}

std::vector<std::string> FakeGpu::kernels() const {
    std::vector<std::string> names;
    for (const FakeLaunch& launch : driver.launches()) {
        names.push_back(launch.kernel);
    }
    return names;
}

}  // namespace opforge::test
