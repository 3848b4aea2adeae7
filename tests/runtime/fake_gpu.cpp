#include "runtime/fake_gpu.hpp"

#include "host/fake_quantize_host.hpp"

#include <opforge/kernels/fake_quantize_arguments.cuh>

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

int run(const FakeLaunch& launch) {
    if (launch.kernel.ends_with("_range")) {
        return 0;  // `apply` finds the ranges itself
    }
    const auto& arguments =
        *static_cast<const kernels::FakeQuantizeArguments*>(launch.arguments[0]);
    runtime::FakeQuantizeTask task;
    task.input = arguments.input;
    task.output = arguments.output;
    task.dtype = dtype_of(launch.kernel);
    task.groups = arguments.groups;
    task.group_size = arguments.group_size;
    task.bits = static_cast<int>(std::lround(std::log2(arguments.levels)));
    task.stochastic = launch.kernel.find("_sr_") != std::string::npos;
    task.asymmetric = launch.kernel.find("_asym_") != std::string::npos;
    task.random = arguments.device_random != nullptr
                      ? runtime::RandomState{arguments.device_random[0], arguments.device_random[1]}
                      : runtime::RandomState{arguments.seed, arguments.offset};
    constexpr int kInvalidValue = 1;
    if (task.code_min() != arguments.code_min || task.code_max() != arguments.code_max) {
        return kInvalidValue;
    }
    runtime::host::fake_quantize(task, 1);
    return 0;
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
