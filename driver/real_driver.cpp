// libcuda by dlopen. The only file that includes cuda.h.
#include "real_driver.hpp"

#include <opforge/base/dynamic_library.hpp>
#include <opforge/base/environment.hpp>
#include <opforge/driver/errors.hpp>

#include <cuda.h>
#include <fmt/format.h>
#include <pthread.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace opforge::driver {

namespace {

// The first release with CUlibrary and CUkernel, which this project loads everything through.
constexpr int kOldestVersion = 12000;

constinit std::atomic<bool> opening_or_open{false};
constinit std::atomic<bool> forked_child{false};

// CUDA's state does not survive fork: the driver's threads and its channel to the kernel stay with
// the parent, and calls in the child fail, hang or crash. The flag costs the callers one load,
// getpid() would cost them a system call.
void note_fork() noexcept {
    if (opening_or_open.load(std::memory_order_relaxed)) {
        forked_child.store(true, std::memory_order_relaxed);
    }
}

// At load, before there is a thread that another one's fork could cut off in the middle of it.
[[maybe_unused]] const int kWatchesForks = ::pthread_atfork(nullptr, nullptr, note_fork);

// Set before dlopen, and not after: a child forked meanwhile inherits a half-opened driver.
void note_opening() noexcept {
    opening_or_open.store(true, std::memory_order_relaxed);
}

constexpr const char* kForkedText =
    "initialization error: this process was forked after CUDA was opened, and CUDA "
    "works in the parent only; start workers with exec (Python: the spawn method), or "
    "fork before the first use of a GPU";

// Every entry point that opforge calls, under the name whose signature is written here. dlsym knows
// nothing of cuda.h's macros, which map cuMemAlloc to cuMemAlloc_v2 and, from CUDA 13 on,
// cuCtxCreate to a _v4 that a 12.x driver lacks: so the names are those that every driver from 12.0
// on exports, whatever headers this is built with.
struct EntryPoints {
    decltype(&cuInit) init = nullptr;
    decltype(&cuDriverGetVersion) driver_get_version = nullptr;
    decltype(&cuGetErrorName) get_error_name = nullptr;
    decltype(&cuGetErrorString) get_error_string = nullptr;
    decltype(&cuDeviceGetCount) device_get_count = nullptr;
    decltype(&cuDeviceGet) device_get = nullptr;
    decltype(&cuDeviceGetName) device_get_name = nullptr;
    decltype(&cuDeviceGetUuid_v2) device_get_uuid = nullptr;
    decltype(&cuDeviceGetAttribute) device_get_attribute = nullptr;
    decltype(&cuDeviceTotalMem_v2) device_total_mem = nullptr;
    decltype(&cuDevicePrimaryCtxRetain) primary_ctx_retain = nullptr;
    decltype(&cuDevicePrimaryCtxRelease_v2) primary_ctx_release = nullptr;
    CUresult(CUDAAPI* ctx_create)(CUcontext*, unsigned, CUdevice) = nullptr;
    decltype(&cuCtxDestroy_v2) ctx_destroy = nullptr;
    decltype(&cuCtxGetCurrent) ctx_get_current = nullptr;
    decltype(&cuCtxSetCurrent) ctx_set_current = nullptr;
    decltype(&cuCtxPushCurrent_v2) ctx_push_current = nullptr;
    decltype(&cuCtxPopCurrent_v2) ctx_pop_current = nullptr;
    CUresult(CUDAAPI* ctx_get_device)(CUdevice*) = nullptr;
    CUresult(CUDAAPI* ctx_synchronize)() = nullptr;
    decltype(&cuStreamCreate) stream_create = nullptr;
    decltype(&cuStreamDestroy_v2) stream_destroy = nullptr;
    decltype(&cuStreamSynchronize) stream_synchronize = nullptr;
    decltype(&cuStreamGetCtx) stream_get_ctx = nullptr;
    decltype(&cuStreamIsCapturing) stream_is_capturing = nullptr;
    decltype(&cuStreamGetId) stream_get_id = nullptr;
    decltype(&cuEventCreate) event_create = nullptr;
    decltype(&cuEventDestroy_v2) event_destroy = nullptr;
    decltype(&cuEventRecord) event_record = nullptr;
    decltype(&cuEventSynchronize) event_synchronize = nullptr;
    decltype(&cuEventElapsedTime) event_elapsed_time = nullptr;
    decltype(&cuLibraryLoadData) library_load_data = nullptr;
    decltype(&cuLibraryUnload) library_unload = nullptr;
    decltype(&cuLibraryGetKernel) library_get_kernel = nullptr;
    decltype(&cuKernelGetFunction) kernel_get_function = nullptr;
    decltype(&cuKernelSetAttribute) kernel_set_attribute = nullptr;
    CUresult(CUDAAPI* kernel_get_param_info)(CUkernel, std::size_t, std::size_t*,
                                             std::size_t*) = nullptr;  // from 12.4 on, else null
    decltype(&cuOccupancyMaxActiveBlocksPerMultiprocessor) occupancy_blocks = nullptr;
    decltype(&cuOccupancyMaxActiveClusters) occupancy_clusters = nullptr;
    decltype(&cuLaunchKernel) launch_kernel = nullptr;
    decltype(&cuLaunchKernelEx) launch_kernel_ex = nullptr;
    decltype(&cuMemAlloc_v2) mem_alloc = nullptr;
    decltype(&cuMemFree_v2) mem_free = nullptr;
    decltype(&cuMemAllocAsync) mem_alloc_async = nullptr;
    decltype(&cuMemFreeAsync) mem_free_async = nullptr;
    decltype(&cuMemcpyHtoD_v2) memcpy_to_device = nullptr;
    decltype(&cuMemcpyDtoH_v2) memcpy_to_host = nullptr;
    decltype(&cuMemcpyDtoDAsync_v2) memcpy_device_async = nullptr;
    decltype(&cuMemsetD8Async) memset_async = nullptr;

    /// The name of the first entry point that `library` lacks; null where it has them all.
    const char* resolve(const DynamicLibrary& library) noexcept {
        const char* missing = nullptr;
        const auto find = [&](auto& entry, const char* name) {
            entry =
                reinterpret_cast<std::remove_reference_t<decltype(entry)>>(library.symbol(name));
            if (entry == nullptr && missing == nullptr) {
                missing = name;
            }
        };
        find(init, "cuInit");
        find(driver_get_version, "cuDriverGetVersion");
        find(get_error_name, "cuGetErrorName");
        find(get_error_string, "cuGetErrorString");
        find(device_get_count, "cuDeviceGetCount");
        find(device_get, "cuDeviceGet");
        find(device_get_name, "cuDeviceGetName");
        find(device_get_uuid, "cuDeviceGetUuid_v2");
        find(device_get_attribute, "cuDeviceGetAttribute");
        find(device_total_mem, "cuDeviceTotalMem_v2");
        find(primary_ctx_retain, "cuDevicePrimaryCtxRetain");
        find(primary_ctx_release, "cuDevicePrimaryCtxRelease_v2");
        find(ctx_create, "cuCtxCreate_v2");
        find(ctx_destroy, "cuCtxDestroy_v2");
        find(ctx_get_current, "cuCtxGetCurrent");
        find(ctx_set_current, "cuCtxSetCurrent");
        find(ctx_push_current, "cuCtxPushCurrent_v2");
        find(ctx_pop_current, "cuCtxPopCurrent_v2");
        find(ctx_get_device, "cuCtxGetDevice");
        find(ctx_synchronize, "cuCtxSynchronize");
        find(stream_create, "cuStreamCreate");
        find(stream_destroy, "cuStreamDestroy_v2");
        find(stream_synchronize, "cuStreamSynchronize");
        find(stream_get_ctx, "cuStreamGetCtx");
        find(stream_is_capturing, "cuStreamIsCapturing");
        find(stream_get_id, "cuStreamGetId");
        find(event_create, "cuEventCreate");
        find(event_destroy, "cuEventDestroy_v2");
        find(event_record, "cuEventRecord");
        find(event_synchronize, "cuEventSynchronize");
        find(event_elapsed_time, "cuEventElapsedTime");
        find(library_load_data, "cuLibraryLoadData");
        find(library_unload, "cuLibraryUnload");
        find(library_get_kernel, "cuLibraryGetKernel");
        find(kernel_get_function, "cuKernelGetFunction");
        find(kernel_set_attribute, "cuKernelSetAttribute");
        kernel_get_param_info = reinterpret_cast<decltype(kernel_get_param_info)>(
            library.symbol("cuKernelGetParamInfo"));
        find(occupancy_blocks, "cuOccupancyMaxActiveBlocksPerMultiprocessor");
        find(occupancy_clusters, "cuOccupancyMaxActiveClusters");
        find(launch_kernel, "cuLaunchKernel");
        find(launch_kernel_ex, "cuLaunchKernelEx");
        find(mem_alloc, "cuMemAlloc_v2");
        find(mem_free, "cuMemFree_v2");
        find(mem_alloc_async, "cuMemAllocAsync");
        find(mem_free_async, "cuMemFreeAsync");
        find(memcpy_to_device, "cuMemcpyHtoD_v2");
        find(memcpy_to_host, "cuMemcpyDtoH_v2");
        find(memcpy_device_async, "cuMemcpyDtoDAsync_v2");
        find(memset_async, "cuMemsetD8Async");
        return missing;
    }
};

bool is_elf(std::span<const std::byte> code) noexcept {
    constexpr char kMagic[] = {0x7f, 'E', 'L', 'F'};
    return code.size() >= sizeof kMagic && std::memcmp(code.data(), kMagic, sizeof kMagic) == 0;
}

/// A launch as the calls that take attributes have it; it stays where it is made.
struct ExtendedLaunch {
    CUlaunchAttribute attributes[2] = {};
    CUlaunchConfig config{};

    ExtendedLaunch(const LaunchConfig& of, CUstream stream) {
        unsigned count = 0;
        if (of.cooperative) {
            attributes[count].id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
            attributes[count].value.cooperative = 1;
            ++count;
        }
        if (of.has_cluster()) {
            attributes[count].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
            attributes[count].value.clusterDim.x = of.cluster_x;
            attributes[count].value.clusterDim.y = of.cluster_y;
            attributes[count].value.clusterDim.z = of.cluster_z;
            ++count;
        }
        config.gridDimX = of.grid_x;
        config.gridDimY = of.grid_y;
        config.gridDimZ = of.grid_z;
        config.blockDimX = of.block_x;
        config.blockDimY = of.block_y;
        config.blockDimZ = of.block_z;
        config.sharedMemBytes = of.shared_bytes;
        config.hStream = stream;
        config.attrs = attributes;
        config.numAttrs = count;
    }
    ExtendedLaunch(const ExtendedLaunch&) = delete;
    ExtendedLaunch& operator=(const ExtendedLaunch&) = delete;
};

class RealDriver final : public DriverApi {
public:
    explicit RealDriver(const EntryPoints& cuda) : cuda_(cuda) {}

    int init() const override { return call(cuda_.init, 0U); }
    int driver_version(int* version) const override {
        return call(cuda_.driver_get_version, version);
    }

    // These two work in a forked child as well: they read tables, and an error there has to be put
    // into words.
    int error_name(int result, const char** text) const override {
        return cuda_.get_error_name(static_cast<CUresult>(result), text);
    }
    int error_string(int result, const char** text) const override {
        if (in_forked_child() && result == CUDA_ERROR_NOT_INITIALIZED) {
            *text = kForkedText;
            return CUDA_SUCCESS;
        }
        return cuda_.get_error_string(static_cast<CUresult>(result), text);
    }

    int device_count(int* count) const override { return call(cuda_.device_get_count, count); }
    int device_get(int* device, int ordinal) const override {
        return call(cuda_.device_get, device, ordinal);
    }
    int device_name(char* name, int length, int device) const override {
        return call(cuda_.device_get_name, name, length, device);
    }
    int device_uuid(unsigned char (&uuid)[16], int device) const override {
        CUuuid value{};
        const int result = call(cuda_.device_get_uuid, &value, device);
        static_assert(sizeof value == sizeof uuid);
        std::memcpy(uuid, &value, sizeof uuid);
        return result;
    }
    int device_attribute(int* value, Attribute attribute, int device) const override {
        return call(cuda_.device_get_attribute, value, static_cast<CUdevice_attribute>(attribute),
                    device);
    }
    int device_total_memory(std::size_t* size_bytes, int device) const override {
        return call(cuda_.device_total_mem, size_bytes, device);
    }

    int primary_context_retain(ContextHandle* context, int device) const override {
        return call(cuda_.primary_ctx_retain, context, device);
    }
    int primary_context_release(int device) const override {
        return call(cuda_.primary_ctx_release, device);
    }
    int context_create(ContextHandle* context, int device) const override {
        return call(cuda_.ctx_create, context, 0U, device);
    }
    int context_destroy(ContextHandle context) const override {
        return call(cuda_.ctx_destroy, context);
    }
    int context_get_current(ContextHandle* context) const override {
        return call(cuda_.ctx_get_current, context);
    }
    int context_set_current(ContextHandle context) const override {
        return call(cuda_.ctx_set_current, context);
    }
    int context_push(ContextHandle context) const override {
        return call(cuda_.ctx_push_current, context);
    }
    int context_pop(ContextHandle* context) const override {
        return call(cuda_.ctx_pop_current, context);
    }
    int context_get_device(int* device) const override {
        return call(cuda_.ctx_get_device, device);
    }
    int context_synchronize() const override { return call(cuda_.ctx_synchronize); }

    int stream_create(StreamHandle* stream, unsigned flags) const override {
        return call(cuda_.stream_create, stream, flags);
    }
    int stream_destroy(StreamHandle stream) const override {
        return call(cuda_.stream_destroy, stream);
    }
    int stream_synchronize(StreamHandle stream) const override {
        return call(cuda_.stream_synchronize, stream);
    }
    int stream_get_context(StreamHandle stream, ContextHandle* context) const override {
        return call(cuda_.stream_get_ctx, stream, context);
    }
    int stream_get_id(StreamHandle stream, unsigned long long* id) const override {
        return call(cuda_.stream_get_id, stream, id);
    }
    int stream_is_capturing(StreamHandle stream, int* status) const override {
        CUstreamCaptureStatus value = CU_STREAM_CAPTURE_STATUS_NONE;
        const int result = call(cuda_.stream_is_capturing, stream, &value);
        *status = value;
        return result;
    }

    int event_create(EventHandle* event, unsigned flags) const override {
        return call(cuda_.event_create, event, flags);
    }
    int event_destroy(EventHandle event) const override { return call(cuda_.event_destroy, event); }
    int event_record(EventHandle event, StreamHandle stream) const override {
        return call(cuda_.event_record, event, stream);
    }
    int event_synchronize(EventHandle event) const override {
        return call(cuda_.event_synchronize, event);
    }
    int event_elapsed(float* milliseconds, EventHandle start, EventHandle end) const override {
        return call(cuda_.event_elapsed_time, milliseconds, start, end);
    }

    int library_load(LibraryHandle* library, std::span<const std::byte> code) const override {
        if (code.empty()) {
            return CUDA_ERROR_INVALID_IMAGE;
        }
        // CUDA takes no length: an ELF file carries its own, PTX is text and ends at its first zero
        // byte.
        std::vector<std::byte> terminated;
        const std::byte* image = code.data();
        if (!is_elf(code) && code.back() != std::byte{0}) {
            terminated.reserve(code.size() + 1);
            terminated.assign(code.begin(), code.end());
            terminated.push_back(std::byte{0});
            image = terminated.data();
        }
        return call(cuda_.library_load_data, library, static_cast<const void*>(image), nullptr,
                    nullptr, 0U, nullptr, nullptr, 0U);
    }
    int library_unload(LibraryHandle library) const override {
        return call(cuda_.library_unload, library);
    }
    int library_get_kernel(KernelHandle* kernel, LibraryHandle library,
                           const char* name) const override {
        return call(cuda_.library_get_kernel, kernel, library, name);
    }
    int kernel_get_function(FunctionHandle* function, KernelHandle kernel) const override {
        return call(cuda_.kernel_get_function, function, kernel);
    }
    int kernel_set_max_dynamic_shared(KernelHandle kernel, int device,
                                      int size_bytes) const override {
        return call(cuda_.kernel_set_attribute, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                    size_bytes, kernel, device);
    }
    int kernel_parameter(KernelHandle kernel, std::size_t index, std::size_t* offset_bytes,
                         std::size_t* size_bytes) const override {
        if (cuda_.kernel_get_param_info == nullptr) {
            return CUDA_ERROR_NOT_SUPPORTED;
        }
        return call(cuda_.kernel_get_param_info, kernel, index, offset_bytes, size_bytes);
    }
    int occupancy_blocks(int* blocks, FunctionHandle function, int block_threads,
                         std::size_t dynamic_shared_bytes) const override {
        return call(cuda_.occupancy_blocks, blocks, function, block_threads, dynamic_shared_bytes);
    }
    int occupancy_clusters(int* clusters, FunctionHandle function,
                           const LaunchConfig& config) const override {
        const ExtendedLaunch extended(config, nullptr);
        return call(cuda_.occupancy_clusters, clusters, function, &extended.config);
    }

    int launch(KernelHandle kernel, const LaunchConfig& config, StreamHandle stream,
               void** arguments) const override {
        // A CUkernel may stand for a CUfunction in both calls; the driver loads it into the
        // stream's context then.
        auto* const function = reinterpret_cast<CUfunction>(kernel);
        if (!config.cooperative && !config.has_cluster()) {
            return call(cuda_.launch_kernel, function, config.grid_x, config.grid_y, config.grid_z,
                        config.block_x, config.block_y, config.block_z, config.shared_bytes, stream,
                        arguments, nullptr);
        }
        const ExtendedLaunch extended(config, stream);
        return call(cuda_.launch_kernel_ex, &extended.config, function, arguments, nullptr);
    }

    int memory_allocate(DevicePointer* pointer, std::size_t size_bytes) const override {
        return call(cuda_.mem_alloc, pointer, size_bytes);
    }
    int memory_free(DevicePointer pointer) const override { return call(cuda_.mem_free, pointer); }
    int memory_allocate_async(DevicePointer* pointer, std::size_t size_bytes,
                              StreamHandle stream) const override {
        return call(cuda_.mem_alloc_async, pointer, size_bytes, stream);
    }
    int memory_free_async(DevicePointer pointer, StreamHandle stream) const override {
        return call(cuda_.mem_free_async, pointer, stream);
    }
    int copy_to_device(DevicePointer to, const void* from, std::size_t size_bytes) const override {
        return call(cuda_.memcpy_to_device, to, from, size_bytes);
    }
    int copy_to_host(void* to, DevicePointer from, std::size_t size_bytes) const override {
        return call(cuda_.memcpy_to_host, to, from, size_bytes);
    }
    int copy_device_async(DevicePointer to, DevicePointer from, std::size_t size_bytes,
                          StreamHandle stream) const override {
        return call(cuda_.memcpy_device_async, to, from, size_bytes, stream);
    }
    int fill_async(DevicePointer to, unsigned char value, std::size_t size_bytes,
                   StreamHandle stream) const override {
        return call(cuda_.memset_async, to, value, size_bytes, stream);
    }

private:
    // In a forked child nothing reaches the driver, whoever still holds this table: destructors get
    // an error they may ignore, everybody else one that says what happened (error_string).
    template <typename Entry, typename... Arguments>
    static int call(Entry entry, Arguments... arguments) {
        return in_forked_child() ? CUDA_ERROR_NOT_INITIALIZED : entry(arguments...);
    }

    EntryPoints cuda_;
};

std::string version_text(int version) {
    return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

OpenedDriver refused(DriverState state, std::string reason) {
    state.reason = std::move(reason);
    return {std::move(state), nullptr};
}

}  // namespace

bool in_forked_child() noexcept {
    return forked_child.load(std::memory_order_relaxed);
}

OpenedDriver open_driver(const std::string& name) {
    note_opening();
    DriverState state;
    DynamicLibrary library(name);
    if (!library.is_open()) {
        return refused(
            state,
            fmt::format("open {}: {}; install the NVIDIA driver (in a container: start it with the "
                        "GPUs, --gpus all), or name the file in OPFORGE_CUDA_LIBRARY",
                        name, library.error()));
    }
    library.leak();  // the driver runs threads and an exit handler of its own
    state.library = library.path();

    // The version first: what an old driver lacks has no place in the message.
    const auto get_version =
        reinterpret_cast<decltype(&cuDriverGetVersion)>(library.symbol("cuDriverGetVersion"));
    if (get_version == nullptr) {
        return refused(
            state,
            fmt::format("open {}: no CUDA driver (it lacks cuDriverGetVersion); name libcuda in "
                        "OPFORGE_CUDA_LIBRARY",
                        state.library));
    }
    if (get_version(&state.version) == CUDA_SUCCESS && state.version < kOldestVersion) {
        return refused(
            state,
            fmt::format("open {}: the driver supports CUDA {}, opforge needs {}; update the NVIDIA "
                        "driver to 525 or newer",
                        state.library, version_text(state.version), version_text(kOldestVersion)));
    }
    EntryPoints cuda;
    if (const char* missing = cuda.resolve(library)) {
        return refused(state,
                       fmt::format("open {}: it lacks {}; update or reinstall the NVIDIA driver",
                                   state.library, missing));
    }
    auto api = std::make_unique<RealDriver>(cuda);
    if (const int result = api->init(); result != CUDA_SUCCESS) {
        return refused(state, DriverError(*api, result, "cuInit", state.library).what());
    }
    state.api = api.get();
    return {std::move(state), std::move(api)};
}

const DriverState& driver_state() {
    static constinit std::atomic<const DriverState*> published{nullptr};
    if (const DriverState* const state = published.load(std::memory_order_acquire)) {
        return *state;
    }
    if (in_forked_child()) {
        // The thread that was opening the driver stayed with the parent: waiting for it would be
        // for ever.
        static const DriverState& interrupted = *new DriverState{nullptr, kForkedText, 0, {}};
        return interrupted;
    }
    note_opening();  // before the static's guard is taken: a child must not come to it
    static const DriverState& opened = [&]() -> const DriverState& {
        OpenedDriver driver =
            open_driver(environment("OPFORGE_CUDA_LIBRARY").value_or("libcuda.so.1"));
        // Neither is ever destroyed: static objects may unload their kernels at exit.
        const auto* const state = new DriverState(std::move(driver.state));
        static_cast<void>(driver.api.release());
        published.store(state, std::memory_order_release);
        if (state->api == nullptr) {
            // Nothing that a fork could break.
            opening_or_open.store(false, std::memory_order_relaxed);
        }
        return *state;
    }();
    return opened;
}

const DriverApi& real_driver() {
    if (in_forked_child()) {
        throw DriverError(fmt::format("use a GPU: {}", kForkedText));
    }
    const DriverState& state = driver_state();
    if (state.api == nullptr) {
        throw NoDevice(fmt::format("use a GPU: {}", state.reason));
    }
    return *state.api;
}

}  // namespace opforge::driver
