#include "fake_quantize_device.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>
#include <opforge/kernels/fake_quantize_arguments.cuh>
#include <opforge/runtime/launch_plan.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <optional>

namespace opforge::runtime {
namespace {

using driver::ContextHandle;
using driver::DriverApi;
using driver::StreamHandle;

/// CU_STREAM_LEGACY and CU_STREAM_PER_THREAD are names of the current context's streams, not
/// handles of one's own.
bool is_default_stream(StreamHandle stream) {
    return std::bit_cast<std::uintptr_t>(stream) <= 2;
}

/// Makes the right context current for the scope of a call, and only where another one is.
class CallContext {
public:
    CallContext(const QuantizerModule& module, StreamHandle stream) {
        const DriverApi& api = module.api();
        const ContextHandle current = driver::current_context(api);
        ContextHandle wanted = current;
        if (!is_default_stream(stream)) {
            driver::check(api, api.stream_get_context(stream, &wanted), "cuStreamGetCtx");
        }
        if (wanted != current) {
            scope_.emplace(api, wanted);
        }
        if (wanted != nullptr && device_of_current(api) == module.device().handle) {
            return;
        }
        if (!is_default_stream(stream)) {
            throw InvalidArgument(fmt::format("ds_quantizer: the tensor is on cuda:{}, the stream "
                                              "belongs to device {}; pass a stream of the "
                                              "tensor's device",
                                              module.device().ordinal, device_of_current(api)));
        }
        // The current context is another device's, or none: the default stream meant is that of the
        // tensor's own.
        scope_.emplace(api, driver::primary_context(api, module.device().ordinal));
    }

private:
    static int device_of_current(const DriverApi& api) {
        int device = -1;
        driver::check(api, api.context_get_device(&device), "cuCtxGetDevice");
        return device;
    }

    std::optional<driver::ScopedContext> scope_;
};

FakeQuantizeVariant variant_of(const FakeQuantizeTask& task, FakeQuantizeKernel kernel) {
    using Element = FakeQuantizeVariant::Element;
    const Element element = task.dtype == Dtype::float16    ? Element::fp16
                            : task.dtype == Dtype::bfloat16 ? Element::bf16
                                                            : Element::fp32;
    return {.element = element,
            .stochastic = task.stochastic,
            .asymmetric = task.asymmetric,
            .kernel = kernel};
}

/// Compiling and loading inside a capture would break the capture, so it is refused before it
/// begins.
void refuse_first_use_in_capture(const DriverApi& api, StreamHandle stream,
                                 FakeQuantizeVariant variant) {
    constexpr int kCaptureActive = 1;
    constexpr int kErrorCaptureImplicit = 906;  // the default stream, while another one captures
    int status = 0;
    const int result = api.stream_is_capturing(stream, &status);
    if (result == kErrorCaptureImplicit || (result == 0 && status == kCaptureActive)) {
        throw DriverError(fmt::format(
            "ds_quantizer: first use of {} inside a CUDA graph capture, where nothing can be "
            "loaded; call opforge::warm_up() before the capture begins",
            variant.program()));
    }
}

/// Device memory for the length of a call, ordered by the stream: inside a capture it becomes nodes
/// of the graph.
class StreamWorkspace {
public:
    StreamWorkspace(const QuantizerModule& module, StreamHandle stream, std::uint64_t size_bytes)
        : api_(&module.api()), stream_(stream), pooled_(module.device().memory_pools) {
        const int result = pooled_ ? api_->memory_allocate_async(&address_, size_bytes, stream_)
                                   : api_->memory_allocate(&address_, size_bytes);
        driver::check(*api_, result, pooled_ ? "cuMemAllocAsync" : "cuMemAlloc",
                      fmt::format("{} bytes", size_bytes));
    }
    StreamWorkspace(const StreamWorkspace&) = delete;
    StreamWorkspace& operator=(const StreamWorkspace&) = delete;
    ~StreamWorkspace() {
        if (pooled_) {
            api_->memory_free_async(address_, stream_);
            return;
        }
        // A device without memory pools: the kernels that use the memory must have ended.
        api_->stream_synchronize(stream_);
        api_->memory_free(address_);
    }
    [[nodiscard]] driver::DevicePointer address() const noexcept { return address_; }

private:
    const DriverApi* api_;
    StreamHandle stream_;
    bool pooled_;
    driver::DevicePointer address_ = 0;
};

}  // namespace

void fake_quantize_on_device(const FakeQuantizeTask& task, int device, StreamHandle stream,
                             driver::DevicePointer device_random) {
    if (driver::in_forked_child()) {
        throw DriverError("ds_quantizer: CUDA was initialised before this process was forked and "
                          "does not work in the "
                          "child; fork before the first use of the GPU, or start a new process");
    }
    QuantizerModule& module = quantizer_module(device);
    const DriverApi& api = module.api();
    const CallContext context(module, stream);
    const FakeQuantizePlan plan =
        plan_fake_quantize({.groups = task.groups,
                            .group_size = task.group_size,
                            .element_bytes = static_cast<int>(size_bytes(task.dtype))},
                           {.multiprocessors = module.device().multiprocessors,
                            .max_threads_per_block = module.device().max_threads_per_block});
    const FakeQuantizeVariant variant = variant_of(task, plan.kernel);
    const FakeQuantizeKernels* kernels = module.loaded(variant);
    if (kernels == nullptr) {
        refuse_first_use_in_capture(api, stream, variant);
        kernels = &module.kernels(variant);
    }

    kernels::FakeQuantizeArguments arguments{
        .input = task.input,
        .output = task.output,
        .groups = task.groups,
        .group_size = task.group_size,
        .levels = task.levels(),
        .code_min = task.code_min(),
        .code_max = task.code_max(),
        .lanes = plan.lanes,
        .seed = task.random.seed,
        .offset = task.random.offset,
        .device_random = std::bit_cast<const unsigned long long*>(device_random),
        .ranges = nullptr,
        .slice_size = plan.slice_size,
        .slices = plan.slices,
    };
    void* launch_arguments[] = {&arguments};
    const driver::LaunchConfig config{.grid_x = plan.grid, .block_x = plan.block};
    const char* label = kernels->program->name().c_str();
    const auto launch = [&](driver::KernelHandle kernel) {
        driver::launch(api, kernel, config, stream, launch_arguments, label);
    };

    if (plan.workspace_bytes == 0) {
        launch(kernels->first);
        return;
    }
    const StreamWorkspace workspace(module, stream, plan.workspace_bytes);
    arguments.ranges = std::bit_cast<void*>(workspace.address());
    launch(kernels->first);
    launch(kernels->second);
}

}  // namespace opforge::runtime
