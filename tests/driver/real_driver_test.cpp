// The real table against a library that writes down what it is asked: no GPU needed.
#include "real_driver.hpp"
#include "support/child_process.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/base/dynamic_library.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/loaded_library.hpp>

#include <catch2/catch.hpp>

#include <cstdlib>
#include <string>

using namespace opforge;
using Catch::Matchers::Contains;
using driver::open_driver;

namespace {

/// What the library was asked since the last time, a line a call.
std::string take_log() {
    DynamicLibrary library(FAKE_LIBCUDA);
    library.leak();
    const auto take = reinterpret_cast<const char* (*)()>(library.symbol("fake_cuda_take_log"));
    REQUIRE(take != nullptr);
    return take();
}

template <typename Handle>
Handle handle(std::uintptr_t number) {
    return reinterpret_cast<Handle>(number);
}

/// A variable of the environment for one scope.
class Variable {
public:
    Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;
    ~Variable() { ::unsetenv(name_); }

private:
    const char* name_;
};

}  // namespace

TEST_CASE("a libcuda that is missing is a reason, not a crash", "[driver]") {
    const driver::OpenedDriver opened = open_driver("/nonexistent/libcuda.so.1");
    CHECK(opened.api == nullptr);
    CHECK_THAT(opened.state.reason, Contains("open /nonexistent/libcuda.so.1: ") &&
                                        Contains("No such file") &&
                                        Contains("install the NVIDIA driver"));
}

TEST_CASE("a library that is no driver is a reason", "[driver]") {
    const driver::OpenedDriver opened = open_driver("libm.so.6");
    CHECK(opened.api == nullptr);
    CHECK_THAT(opened.state.reason, Contains("it lacks cuDriverGetVersion"));
}

TEST_CASE("a driver older than CUDA 12 is a reason that names both versions", "[driver]") {
    const Variable version("FAKE_CUDA_VERSION", "11080");
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA_OLD);
    CHECK(opened.api == nullptr);
    CHECK_THAT(opened.state.reason, Contains("supports CUDA 11.8, opforge needs 12.0"));
    CHECK(opened.state.version == 11080);
}

TEST_CASE("an entry point that is missing is named", "[driver]") {
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA_OLD);
    CHECK(opened.api == nullptr);
    CHECK_THAT(opened.state.reason, Contains("it lacks cuLibraryLoadData"));
}

TEST_CASE("cuInit's failure is the reason, in CUDA's words", "[driver]") {
    const Variable result("FAKE_CUDA_INIT", "100");
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA);
    CHECK(opened.api == nullptr);
    CHECK_THAT(opened.state.reason,
               Contains("CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected") &&
                   Contains("nvidia-smi"));
}

TEST_CASE("an open driver has its version and its file, and cuInit was called once", "[driver]") {
    take_log();
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA);
    REQUIRE(opened.api != nullptr);
    CHECK(opened.state.reason.empty());
    CHECK(opened.state.version == 12020);
    CHECK(opened.state.library == FAKE_LIBCUDA);
    CHECK(take_log() == "cuDriverGetVersion\ncuInit 0\n");
}

TEST_CASE("each call of the table reaches its entry point with its arguments in place",
          "[driver]") {
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA);
    REQUIRE(opened.api != nullptr);
    const driver::DriverApi& api = *opened.api;
    take_log();
    int number = 0;
    std::size_t size = 0;
    driver::ContextHandle context = nullptr;
    driver::StreamHandle stream = nullptr;
    driver::EventHandle event = nullptr;
    driver::DevicePointer pointer = 0;

    CHECK(api.driver_version(&number) == 0);
    CHECK(take_log() == "cuDriverGetVersion\n");
    CHECK(api.device_count(&number) == 0);
    CHECK(number == 3);
    CHECK(api.device_get(&number, 2) == 0);
    CHECK(number == 102);
    CHECK(take_log() == "cuDeviceGetCount\ncuDeviceGet 2\n");
    char name[16] = {};
    CHECK(api.device_name(name, 16, 102) == 0);
    CHECK(std::string(name) == "Fake");
    unsigned char uuid[16] = {};
    CHECK(api.device_uuid(uuid, 102) == 0);
    CHECK(uuid[15] == 0xab);
    CHECK(api.device_attribute(&number, driver::Attribute::l2_cache_bytes, 102) == 0);
    CHECK(number == 7);
    CHECK(api.device_total_memory(&size, 102) == 0);
    CHECK(size == 1000);
    CHECK(take_log() ==
          "cuDeviceGetName 16 102\ncuDeviceGetUuid_v2 102\ncuDeviceGetAttribute 38 102\n"
          "cuDeviceTotalMem_v2 102\n");

    CHECK(api.primary_context_retain(&context, 102) == 0);
    CHECK(context == handle<driver::ContextHandle>(0x10));
    CHECK(api.primary_context_release(102) == 0);
    CHECK(api.context_create(&context, 102) == 0);
    CHECK(context == handle<driver::ContextHandle>(0x20));
    CHECK(api.context_destroy(context) == 0);
    CHECK(take_log() ==
          "cuDevicePrimaryCtxRetain 102\ncuDevicePrimaryCtxRelease_v2 102\ncuCtxCreate_v2 0 102\n"
          "cuCtxDestroy_v2 32\n");
    CHECK(api.context_get_current(&context) == 0);
    CHECK(context == handle<driver::ContextHandle>(0x30));
    CHECK(api.context_set_current(context) == 0);
    CHECK(api.context_push(context) == 0);
    CHECK(api.context_pop(&context) == 0);
    CHECK(context == handle<driver::ContextHandle>(0x40));
    CHECK(api.context_get_device(&number) == 0);
    CHECK(number == 5);
    CHECK(api.context_synchronize() == 0);
    CHECK(take_log() ==
          "cuCtxGetCurrent\ncuCtxSetCurrent 48\ncuCtxPushCurrent_v2 48\ncuCtxPopCurrent_v2\n"
          "cuCtxGetDevice\ncuCtxSynchronize\n");

    CHECK(api.stream_create(&stream, 1) == 0);
    CHECK(stream == handle<driver::StreamHandle>(0x50));
    CHECK(api.stream_synchronize(stream) == 0);
    CHECK(api.stream_get_context(stream, &context) == 0);
    CHECK(context == handle<driver::ContextHandle>(0x60));
    unsigned long long id = 0;
    CHECK(api.stream_get_id(stream, &id) == 0);
    CHECK(id == 7);
    CHECK(api.stream_is_capturing(stream, &number) == 0);
    CHECK(number == 2);
    CHECK(api.stream_destroy(stream) == 0);
    CHECK(take_log() == "cuStreamCreate 1\ncuStreamSynchronize 80\ncuStreamGetCtx "
                        "80\ncuStreamGetId 80\ncuStreamIsCapturing 80\n"
                        "cuStreamDestroy_v2 80\n");

    CHECK(api.event_create(&event, 2) == 0);
    CHECK(event == handle<driver::EventHandle>(0x70));
    CHECK(api.event_record(event, stream) == 0);
    CHECK(api.event_synchronize(event) == 0);
    float milliseconds = 0;
    CHECK(api.event_elapsed(&milliseconds, handle<driver::EventHandle>(1), event) == 0);
    CHECK(milliseconds == 2.5F);
    CHECK(api.event_destroy(event) == 0);
    CHECK(
        take_log() ==
        "cuEventCreate 2\ncuEventRecord 112 80\ncuEventSynchronize 112\ncuEventElapsedTime 1 112\n"
        "cuEventDestroy_v2 112\n");

    driver::KernelHandle kernel = nullptr;
    driver::FunctionHandle function = nullptr;
    CHECK(api.library_get_kernel(&kernel, handle<driver::LibraryHandle>(0x80), "add") == 0);
    CHECK(kernel == handle<driver::KernelHandle>(0x90));
    CHECK(api.kernel_get_function(&function, kernel) == 0);
    CHECK(function == handle<driver::FunctionHandle>(0xa0));
    std::size_t parameter_offset = 0;
    std::size_t parameter_size = 0;
    CHECK(api.kernel_parameter(kernel, 2, &parameter_offset, &parameter_size) == 0);
    CHECK(parameter_offset == 16);
    CHECK(parameter_size == 4);
    CHECK(api.kernel_set_max_dynamic_shared(kernel, 102, 5000) == 0);
    CHECK(api.occupancy_blocks(&number, function, 256, 64) == 0);
    CHECK(number == 4);
    CHECK(api.occupancy_clusters(&number, function,
                                 {.block_x = 256, .shared_bytes = 64, .cluster_x = 8}) == 0);
    CHECK(number == 98);
    CHECK(api.library_unload(handle<driver::LibraryHandle>(0x80)) == 0);
    CHECK(take_log() ==
          "cuLibraryGetKernel 128 add\ncuKernelGetFunction 144\ncuKernelGetParamInfo 144 "
          "2\ncuKernelSetAttribute 8 5000 144 102\n"
          "cuOccupancyMaxActiveBlocksPerMultiprocessor 160 256 64\n"
          "cuOccupancyMaxActiveClusters 160 256 64 8\ncuLibraryUnload 128\n");

    CHECK(api.memory_allocate(&pointer, 9) == 0);
    CHECK(pointer == 0xb0);
    CHECK(api.memory_free(pointer) == 0);
    CHECK(api.memory_allocate_async(&pointer, 9, stream) == 0);
    CHECK(pointer == 0xc0);
    CHECK(api.memory_free_async(pointer, stream) == 0);
    CHECK(api.copy_to_device(1, handle<const void*>(2), 3) == 0);
    CHECK(api.copy_to_host(handle<void*>(1), 2, 3) == 0);
    CHECK(api.copy_device_async(1, 2, 3, stream) == 0);
    CHECK(api.fill_async(1, 2, 3, stream) == 0);
    CHECK(take_log() ==
          "cuMemAlloc_v2 9\ncuMemFree_v2 176\ncuMemAllocAsync 9 80\ncuMemFreeAsync 192 80\n"
          "cuMemcpyHtoD_v2 1 2 3\ncuMemcpyDtoH_v2 1 2 3\ncuMemcpyDtoDAsync_v2 1 2 3 80\n"
          "cuMemsetD8Async 1 2 3 80\n");
}

TEST_CASE("a plain launch takes the plain call, attributes the extended one", "[driver]") {
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA);
    REQUIRE(opened.api != nullptr);
    take_log();
    int value = 42;
    void* arguments[] = {&value};
    auto* const kernel = handle<driver::KernelHandle>(0x90);
    auto* const stream = handle<driver::StreamHandle>(0x50);
    driver::LaunchConfig config{.grid_x = 1,
                                .grid_y = 2,
                                .grid_z = 3,
                                .block_x = 4,
                                .block_y = 5,
                                .block_z = 6,
                                .shared_bytes = 7};
    CHECK(opened.api->launch(kernel, config, stream, arguments) == 0);
    CHECK(take_log() == "cuLaunchKernel 144 1 2 3 4 5 6 7 80 42 0\n");
    config.cooperative = true;
    CHECK(opened.api->launch(kernel, config, stream, arguments) == 0);
    CHECK(take_log() == "cuLaunchKernelEx 144 1 2 3 4 5 6 7 80 42 0 cooperative=1\n");
    config.cluster_y = 2;
    CHECK(opened.api->launch(kernel, config, stream, arguments) == 0);
    CHECK(take_log() == "cuLaunchKernelEx 144 1 2 3 4 5 6 7 80 42 0 cooperative=1 cluster=1x2x1\n");
    config.cooperative = false;
    CHECK(opened.api->launch(kernel, config, stream, arguments) == 0);
    CHECK(take_log() == "cuLaunchKernelEx 144 1 2 3 4 5 6 7 80 42 0 cluster=1x2x1\n");
}

TEST_CASE("PTX without its zero byte gets one, an ELF file goes as it is", "[driver]") {
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA);
    REQUIRE(opened.api != nullptr);
    take_log();
    driver::LibraryHandle library = nullptr;
    // A slice of a longer text: what follows it must not reach the driver.
    const std::string text = ".version 7.0\n.target sm_75";
    CHECK(opened.api->library_load(&library, as_bytes(text).first(12)) == 0);
    CHECK(take_log() == "cuLibraryLoadData .version 7.0 0 0\n");
    CHECK(opened.api->library_load(&library, as_bytes(std::string_view("text\0", 5))) == 0);
    CHECK(take_log() == "cuLibraryLoadData text 0 0\n");
    CHECK(opened.api->library_load(&library, as_bytes("\x7f"
                                                      "ELF rest")) == 0);
    CHECK(take_log() == "cuLibraryLoadData elf 0 0\n");
    CHECK(opened.api->library_load(&library, {}) == 200);
    CHECK(take_log().empty());
}

TEST_CASE("a child forked after the driver was opened reaches no driver and hears why",
          "[driver]") {
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA);
    REQUIRE(opened.api != nullptr);
    CHECK_FALSE(driver::in_forked_child());
    take_log();
    const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
        out << driver::in_forked_child() << '\n';
        try {
            static_cast<void>(driver::primary_context(*opened.api, 0));
        } catch (const DriverError& error) {
            out << error.what() << '\n';
        }
        try {
            static_cast<void>(driver::real_driver());
        } catch (const Error& error) {
            out << error.kind() << ": " << error.what() << '\n';
        }
        out << "[" << take_log() << "]\n";
    });
    CHECK(child.exit_code == 0);
    CHECK_THAT(child.output, Catch::StartsWith("1\n"));
    CHECK_THAT(
        child.output,
        Contains("cuDeviceGet(device 0): CUDA_ERROR_NOT_INITIALIZED (3): initialization error: "
                 "this process was forked after CUDA was opened"));
    CHECK_THAT(child.output,
               Contains("\nDriverError: use a GPU: initialization error: this process was forked"));
    CHECK_THAT(child.output, Contains("\n[]\n"));
    CHECK_FALSE(driver::in_forked_child());
}

TEST_CASE("resources that a forked child inherits are given back without the driver", "[driver]") {
    const driver::OpenedDriver opened = open_driver(FAKE_LIBCUDA);
    REQUIRE(opened.api != nullptr);
    driver::LoadedLibrary library(*opened.api, as_bytes("code"), "code");
    take_log();
    const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
        { const driver::LoadedLibrary mine = std::move(library); }
        out << "[" << take_log() << "]";
    });
    CHECK(child.exit_code == 0);
    CHECK(child.output == "[]");
}

TEST_CASE("the process's driver is opened once, on the first question, and the answer stays",
          "[driver]") {
    const std::string fake = std::string("OPFORGE_CUDA_LIBRARY=") + FAKE_LIBCUDA;
    const test::ChildResult works = test::run_program({DRIVER_PROBE}, {fake});
    CHECK(works.exit_code == 0);
    CHECK(works.output == "same answer\ndriver\n12020\n\nreal_driver\n");

    const test::ChildResult missing =
        test::run_program({DRIVER_PROBE}, {"OPFORGE_CUDA_LIBRARY=/nonexistent"});
    CHECK(missing.exit_code == 0);
    CHECK_THAT(missing.output, Catch::StartsWith("same answer\nno driver\n0\nopen /nonexistent: "));
    CHECK_THAT(missing.output, Contains("NoDevice: use a GPU: open /nonexistent: "));
}

TEST_CASE("a process that asks for no driver loads none", "[driver]") {
    const std::string fake = std::string("OPFORGE_CUDA_LIBRARY=") + FAKE_LIBCUDA;
    CHECK(test::run_program({DRIVER_PROBE, "nothing"}, {fake}).output == "none loaded\n");
}
