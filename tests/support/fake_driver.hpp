// A CUDA driver without a GPU: real bookkeeping (contexts a thread, owners of streams, memory that
// copies work on), no execution. Everything is recorded, any call can be told to fail, and what is
// left over can be counted.
//
//   test::FakeDriver driver;                                    // one device, capability 9.0
//   driver.fail("library_load", 209);                           // its next call; 209 is
//   CUDA_ERROR_NO_BINARY_FOR_GPU driver.on_launch([&](const test::FakeLaunch& launch) { ... read
//   launch.arguments ...; return 0; }); CHECK(driver.count("library_load") == 1);
//   CHECK(driver.outstanding() == test::FakeOutstanding{});
//
// Functions go by DriverApi's names. Any thread. Handles of one fake mean nothing to another.
#pragma once

#include <opforge/base/bytes.hpp>
#include <opforge/driver/driver_api.hpp>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace opforge::test {

struct FakeDevice {
    std::string name = "Fake GPU";
    int major = 9;
    int minor = 0;
    std::size_t memory_bytes = std::size_t{1} << 30;
    /// Instead of the fake's own values, which are an H100's.
    std::map<driver::Attribute, int> attributes = {};
};

struct FakeCall {
    std::string function;   // "stream_create"
    std::string arguments;  // for people and for CHECK(... == ...): "flags 1"
    std::thread::id thread;
};

struct FakeLaunch {
    std::string kernel;
    std::shared_ptr<const Bytes> code;  // of the library it is from
    driver::LaunchConfig config;
    driver::StreamHandle stream = nullptr;
    driver::ContextHandle context = nullptr;  // the stream's; the current one for a null stream
    driver::ContextHandle current = nullptr;  // of the calling thread
    bool of_function = false;                 // driver::as_kernel
    void** arguments = nullptr;               // valid in the hook only
};

/// What was made and is not destroyed yet. Primary contexts are not counted: opforge keeps them.
struct FakeOutstanding {
    std::size_t allocations = 0;
    std::size_t streams = 0;
    std::size_t events = 0;
    std::size_t libraries = 0;
    std::size_t contexts = 0;
    friend bool operator==(const FakeOutstanding&, const FakeOutstanding&) = default;
};

class FakeDriver : public driver::DriverApi {
public:
    explicit FakeDriver(std::vector<FakeDevice> devices = {FakeDevice{}});
    ~FakeDriver() override;

    // --- settings
    // -----------------------------------------------------------------------------------------------
    void set_version(int version);
    /// The `nth` call of `function` from now on (1: the next) and `times - 1` after it return
    /// `result` and do nothing.
    void fail(std::string_view function, int result, int nth = 1, int times = 1);
    void fail_always(std::string_view function, int result);
    /// As a driver refuses a broken image: by its bytes. @param result for example 200,
    /// CUDA_ERROR_INVALID_IMAGE
    void refuse_code(Bytes code, int result = 200);
    /// From now on libraries have these kernels only. Before, every name is found.
    void set_kernel_names(std::vector<std::string> names);
    /// Sizes of a kernel's parameters, each aligned to its size (8 at most). Before, the fake
    /// cannot say.
    void set_kernel_parameters(const std::string& kernel, std::vector<std::size_t> sizes_bytes);
    /// 0 none, 1 active, 2 invalidated. A null stream: that of every stream not set apart.
    void set_capture_status(driver::StreamHandle stream, int status);
    void set_occupancy_blocks(int blocks);
    /// Before: as many as there may be.
    void set_occupancy_clusters(int clusters);
    /// Called for every launch that passed the fake's own checks, without its lock; the result is
    /// the launch's.
    void on_launch(std::function<int(const FakeLaunch&)> hook);

    // --- what happened
    // ------------------------------------------------------------------------------------------
    [[nodiscard]] std::vector<FakeCall> calls() const;
    /// Calls of one function, also the failed ones.
    [[nodiscard]] std::size_t count(std::string_view function) const;
    /// Of every function.
    [[nodiscard]] std::size_t count() const;
    /// Those that returned success, without their arguments.
    [[nodiscard]] std::vector<FakeLaunch> launches() const;
    void forget_calls();
    [[nodiscard]] FakeOutstanding outstanding() const;
    /// Retains minus releases of the device's primary context.
    [[nodiscard]] int primary_retains(int device) const;
    /// The calling thread's contexts, the current one last.
    [[nodiscard]] std::vector<driver::ContextHandle> context_stack() const;
    /// As kernel_set_max_dynamic_shared left it; 0 where it was never called.
    [[nodiscard]] int max_dynamic_shared(driver::KernelHandle kernel) const;

    // --- DriverApi
    // ----------------------------------------------------------------------------------------------
    int init() const override;
    int driver_version(int* version) const override;
    int error_name(int result, const char** text) const override;
    int error_string(int result, const char** text) const override;
    int device_count(int* count) const override;
    int device_get(int* device, int ordinal) const override;
    int device_name(char* name, int length, int device) const override;
    int device_uuid(unsigned char (&uuid)[16], int device) const override;
    int device_attribute(int* value, driver::Attribute attribute, int device) const override;
    int device_total_memory(std::size_t* size_bytes, int device) const override;
    int primary_context_retain(driver::ContextHandle* context, int device) const override;
    int primary_context_release(int device) const override;
    int context_create(driver::ContextHandle* context, int device) const override;
    int context_destroy(driver::ContextHandle context) const override;
    int context_get_current(driver::ContextHandle* context) const override;
    int context_set_current(driver::ContextHandle context) const override;
    int context_push(driver::ContextHandle context) const override;
    int context_pop(driver::ContextHandle* context) const override;
    int context_get_device(int* device) const override;
    int context_synchronize() const override;
    int stream_create(driver::StreamHandle* stream, unsigned flags) const override;
    int stream_destroy(driver::StreamHandle stream) const override;
    int stream_synchronize(driver::StreamHandle stream) const override;
    int stream_get_context(driver::StreamHandle stream,
                           driver::ContextHandle* context) const override;
    int stream_get_id(driver::StreamHandle stream, unsigned long long* id) const override;
    int stream_is_capturing(driver::StreamHandle stream, int* status) const override;
    int event_create(driver::EventHandle* event, unsigned flags) const override;
    int event_destroy(driver::EventHandle event) const override;
    int event_record(driver::EventHandle event, driver::StreamHandle stream) const override;
    int event_synchronize(driver::EventHandle event) const override;
    /// A millisecond for every event_record in between.
    int event_elapsed(float* milliseconds, driver::EventHandle start,
                      driver::EventHandle end) const override;
    int library_load(driver::LibraryHandle* library,
                     std::span<const std::byte> code) const override;
    int library_unload(driver::LibraryHandle library) const override;
    int library_get_kernel(driver::KernelHandle* kernel, driver::LibraryHandle library,
                           const char* name) const override;
    int kernel_get_function(driver::FunctionHandle* function,
                            driver::KernelHandle kernel) const override;
    int kernel_set_max_dynamic_shared(driver::KernelHandle kernel, int device,
                                      int size_bytes) const override;
    int kernel_parameter(driver::KernelHandle kernel, std::size_t index, std::size_t* offset_bytes,
                         std::size_t* size_bytes) const override;
    int occupancy_blocks(int* blocks, driver::FunctionHandle function, int block_threads,
                         std::size_t dynamic_shared_bytes) const override;
    int occupancy_clusters(int* clusters, driver::FunctionHandle function,
                           const driver::LaunchConfig& config) const override;
    int launch(driver::KernelHandle kernel, const driver::LaunchConfig& config,
               driver::StreamHandle stream, void** arguments) const override;
    int memory_allocate(driver::DevicePointer* pointer, std::size_t size_bytes) const override;
    int memory_free(driver::DevicePointer pointer) const override;
    int memory_allocate_async(driver::DevicePointer* pointer, std::size_t size_bytes,
                              driver::StreamHandle stream) const override;
    int memory_free_async(driver::DevicePointer pointer,
                          driver::StreamHandle stream) const override;
    int copy_to_device(driver::DevicePointer to, const void* from,
                       std::size_t size_bytes) const override;
    int copy_to_host(void* to, driver::DevicePointer from, std::size_t size_bytes) const override;
    int copy_device_async(driver::DevicePointer to, driver::DevicePointer from,
                          std::size_t size_bytes, driver::StreamHandle stream) const override;
    int fill_async(driver::DevicePointer to, unsigned char value, std::size_t size_bytes,
                   driver::StreamHandle stream) const override;

private:
    struct State;
    std::unique_ptr<State>
        state_;  // behind a pointer: DriverApi's functions are const, as a table's are
};

}  // namespace opforge::test
