#include "device_call.hpp"

#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>

#include <fmt/format.h>

namespace opforge::runtime {
namespace {

using driver::ContextHandle;
using driver::DriverApi;
using driver::StreamHandle;

int device_of_current(const DriverApi& api) {
    int device = -1;
    driver::check(api, api.context_get_device(&device), "cuCtxGetDevice");
    return device;
}

/// What CUDA says where fewer blocks or clusters can be resident than were asked for.
bool is_refusal(int result) {
    constexpr int kLaunchOutOfResources = 701;
    constexpr int kCooperativeLaunchTooLarge = 720;
    constexpr int kInvalidClusterSize = 912;
    return result == kLaunchOutOfResources || result == kCooperativeLaunchTooLarge ||
           result == kInvalidClusterSize;
}

}  // namespace

QuantizerModule& module_for_call(const char* op, int device) {
    if (driver::in_forked_child()) {
        throw DriverError(fmt::format("{}: CUDA was initialised before this process was forked and "
                                      "does not work in the child; fork before the first use of "
                                      "the GPU, or start a new process",
                                      op));
    }
    return quantizer_module(device);
}

CallContext::CallContext(const char* op, const QuantizerModule& module, StreamHandle stream) {
    const DriverApi& api = module.api();
    const ContextHandle current = driver::current_context(api);
    ContextHandle& wanted = context_;
    wanted = current;
    if (!is_default_stream(stream)) {
        driver::check(api, api.stream_get_context(stream, &wanted), "cuStreamGetCtx");
    }
    if (wanted == current && wanted != nullptr && module.is_only_device()) {
        return;  // what nearly every call finds: nobody else's context is there to be current
    }
    if (wanted != current) {
        scope_.emplace(api, wanted);
    }
    if (wanted != nullptr && device_of_current(api) == module.device().handle) {
        return;
    }
    if (!is_default_stream(stream)) {
        throw InvalidArgument(fmt::format("{}: the tensor is on cuda:{}, the stream belongs to "
                                          "device {}; pass a stream of the tensor's device",
                                          op, module.device().ordinal, device_of_current(api)));
    }
    // The current context is another device's, or none: the default stream meant is that of the
    // tensor's own.
    wanted = driver::primary_context(api, module.device().ordinal);
    scope_.emplace(api, wanted);
}

bool is_capturing(const DriverApi& api, StreamHandle stream) {
    constexpr int kCaptureActive = 1;
    constexpr int kErrorCaptureImplicit = 906;  // the default stream, while another one captures
    int status = 0;
    const int result = api.stream_is_capturing(stream, &status);
    return result == kErrorCaptureImplicit || (result == 0 && status == kCaptureActive);
}

bool try_launch(const DriverApi& api, driver::KernelHandle kernel,
                const driver::LaunchConfig& config, StreamHandle stream, void** arguments,
                const char* label) {
    const int result = api.launch(kernel, config, stream, arguments);
    if (is_refusal(result)) {
        return false;
    }
    driver::check_launch(api, result, config, label);
    return true;
}

void refuse_first_use_in_capture(const char* op, const DriverApi& api, StreamHandle stream,
                                 const std::string& program) {
    if (is_capturing(api, stream)) {
        throw DriverError(fmt::format("{}: first use of {} inside a CUDA graph capture, where "
                                      "nothing can be loaded; call opforge::warm_up() before the "
                                      "capture begins",
                                      op, program));
    }
}

StreamWorkspace::StreamWorkspace(const QuantizerModule& module, StreamHandle stream,
                                 std::uint64_t size_bytes)
    : api_(&module.api()), stream_(stream), pooled_(module.device().memory_pools) {
    const int result = pooled_ ? api_->memory_allocate_async(&address_, size_bytes, stream_)
                               : api_->memory_allocate(&address_, size_bytes);
    driver::check(*api_, result, pooled_ ? "cuMemAllocAsync" : "cuMemAlloc",
                  fmt::format("{} bytes", size_bytes));
}

StreamWorkspace::~StreamWorkspace() {
    if (pooled_) {
        api_->memory_free_async(address_, stream_);
        return;
    }
    // A device without memory pools: the kernels that use the memory must have ended.
    api_->stream_synchronize(stream_);
    api_->memory_free(address_);
}

}  // namespace opforge::runtime
