// The table of libcuda's calls that opforge makes. The real table is filled by dlopen on first use;
// tests pass a fake. Every function returns CUDA's own result code (0 is success) and takes CUDA's
// own arguments; docs: the CUDA Driver API reference. Nothing here runs at static-initialisation
// time.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/driver/cuda_types.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace opforge::driver {

/// A launch as cuLaunchKernelEx takes it. `arguments` are pointers to the kernel's arguments.
struct LaunchConfig {
    std::uint32_t grid_x = 1, grid_y = 1, grid_z = 1;
    std::uint32_t block_x = 1, block_y = 1, block_z = 1;
    std::uint32_t shared_bytes = 0;
    std::uint32_t cluster_x = 1, cluster_y = 1, cluster_z = 1;  // 1, 1, 1: no cluster
    bool cooperative = false;
    [[nodiscard]] bool has_cluster() const noexcept {
        return cluster_x != 1 || cluster_y != 1 || cluster_z != 1;
    }
};

/// CUdevice_attribute's numbers, those that opforge asks for.
enum class Attribute : int {
    max_threads_per_block = 1,
    max_shared_memory_per_block = 8,
    warp_size = 10,
    multiprocessor_count = 16,
    l2_cache_bytes = 38,
    max_threads_per_multiprocessor = 39,
    compute_capability_major = 75,
    compute_capability_minor = 76,
    max_shared_memory_per_multiprocessor = 81,
    cooperative_launch = 95,
    max_shared_memory_per_block_optin = 97,
    memory_pools_supported = 115,
    cluster_launch = 120,
};

class OPFORGE_API DriverApi {
public:
    DriverApi() = default;
    DriverApi(const DriverApi&) = delete;
    DriverApi& operator=(const DriverApi&) = delete;
    virtual ~DriverApi();

    virtual int init() const = 0;
    virtual int driver_version(int* version) const = 0;
    virtual int error_name(int result, const char** text) const = 0;
    virtual int error_string(int result, const char** text) const = 0;

    virtual int device_count(int* count) const = 0;
    virtual int device_get(int* device, int ordinal) const = 0;
    virtual int device_name(char* name, int length, int device) const = 0;
    virtual int device_uuid(unsigned char (&uuid)[16], int device) const = 0;
    virtual int device_attribute(int* value, Attribute attribute, int device) const = 0;
    virtual int device_total_memory(std::size_t* size_bytes, int device) const = 0;

    virtual int primary_context_retain(ContextHandle* context, int device) const = 0;
    virtual int primary_context_release(int device) const = 0;
    virtual int context_create(ContextHandle* context, int device) const = 0;
    virtual int context_destroy(ContextHandle context) const = 0;
    virtual int context_get_current(ContextHandle* context) const = 0;
    virtual int context_set_current(ContextHandle context) const = 0;
    virtual int context_push(ContextHandle context) const = 0;
    virtual int context_pop(ContextHandle* context) const = 0;
    virtual int context_get_device(int* device) const = 0;
    virtual int context_synchronize() const = 0;

    virtual int stream_create(StreamHandle* stream, unsigned flags) const = 0;
    virtual int stream_destroy(StreamHandle stream) const = 0;
    virtual int stream_synchronize(StreamHandle stream) const = 0;
    virtual int stream_get_context(StreamHandle stream, ContextHandle* context) const = 0;
    /// Never given to another stream as long as the process lives, as a handle may be.
    virtual int stream_get_id(StreamHandle stream, unsigned long long* id) const = 0;
    /// status: 0 none, 1 active, 2 invalidated.
    virtual int stream_is_capturing(StreamHandle stream, int* status) const = 0;

    virtual int event_create(EventHandle* event, unsigned flags) const = 0;
    virtual int event_destroy(EventHandle event) const = 0;
    virtual int event_record(EventHandle event, StreamHandle stream) const = 0;
    virtual int event_synchronize(EventHandle event) const = 0;
    virtual int event_elapsed(float* milliseconds, EventHandle start, EventHandle end) const = 0;

    virtual int library_load(LibraryHandle* library, std::span<const std::byte> code) const = 0;
    virtual int library_unload(LibraryHandle library) const = 0;
    virtual int library_get_kernel(KernelHandle* kernel, LibraryHandle library,
                                   const char* name) const = 0;
    /// Loads the kernel into the current context now, and gives the function that occupancy queries
    /// take.
    virtual int kernel_get_function(FunctionHandle* function, KernelHandle kernel) const = 0;
    virtual int kernel_set_max_dynamic_shared(KernelHandle kernel, int device,
                                              int size_bytes) const = 0;
    /// Where the kernel takes its parameter `index` (from 0) and of which size;
    /// CUDA_ERROR_INVALID_VALUE (1) beyond the last one, CUDA_ERROR_INVALID_CONTEXT (201) where no
    /// context is current, CUDA_ERROR_NOT_SUPPORTED (801) where the driver cannot say
    /// (before 12.4).
    virtual int kernel_parameter(KernelHandle kernel, std::size_t index, std::size_t* offset_bytes,
                                 std::size_t* size_bytes) const;
    virtual int occupancy_blocks(int* blocks, FunctionHandle function, int block_threads,
                                 std::size_t dynamic_shared_bytes) const = 0;
    /// How many clusters of such a launch the device holds at once, in the current context;
    /// CUDA_ERROR_NOT_SUPPORTED (801) where the driver cannot say.
    virtual int occupancy_clusters(int* clusters, FunctionHandle function,
                                   const LaunchConfig& config) const;
    virtual int launch(KernelHandle kernel, const LaunchConfig& config, StreamHandle stream,
                       void** arguments) const = 0;

    virtual int memory_allocate(DevicePointer* pointer, std::size_t size_bytes) const = 0;
    virtual int memory_free(DevicePointer pointer) const = 0;
    virtual int memory_allocate_async(DevicePointer* pointer, std::size_t size_bytes,
                                      StreamHandle stream) const = 0;
    virtual int memory_free_async(DevicePointer pointer, StreamHandle stream) const = 0;
    virtual int copy_to_device(DevicePointer to, const void* from,
                               std::size_t size_bytes) const = 0;
    virtual int copy_to_host(void* to, DevicePointer from, std::size_t size_bytes) const = 0;
    virtual int copy_device_async(DevicePointer to, DevicePointer from, std::size_t size_bytes,
                                  StreamHandle stream) const = 0;
    virtual int fill_async(DevicePointer to, unsigned char value, std::size_t size_bytes,
                           StreamHandle stream) const = 0;
};

/// libcuda of this process, opened and initialised (cuInit) once; the same answer ever after.
/// `name` for tests and unusual installs comes from OPFORGE_CUDA_LIBRARY, else "libcuda.so.1".
struct DriverState {
    const DriverApi* api = nullptr;  // null: `reason` says why (no library, cuInit's own error)
    std::string reason;
    int version = 0;      // CUDA's number: 13000 is 13.0
    std::string library;  // path of the opened file
};
[[nodiscard]] OPFORGE_API const DriverState& driver_state();

/// @throws NoDevice with driver_state().reason where there is no driver; DriverError in a forked
/// child.
[[nodiscard]] OPFORGE_API const DriverApi& real_driver();

/// True in a child forked after the driver was opened: CUDA does not work there. One relaxed load.
[[nodiscard]] OPFORGE_API bool in_forked_child() noexcept;

}  // namespace opforge::driver
