// The real driver on a real GPU.
#include "support/child_process.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/kernel.hpp>
#include <opforge/driver/launch.hpp>
#include <opforge/driver/loaded_library.hpp>
#include <opforge/driver/stream.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <string_view>
#include <vector>

using namespace opforge;
using Catch::Matchers::Contains;

namespace {

// data[i] += 1 for i < count, one thread an element.
constexpr std::string_view kAddOne = R"(
.version 7.0
.target sm_75
.address_size 64
.visible .entry add_one(.param .u64 data, .param .u32 count)
{
    .reg .pred %p<2>;
    .reg .b32 %r<7>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [data];
    ld.param.u32 %r1, [count];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.u32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra done;
    cvta.to.global.u64 %rd2, %rd1;
    mul.wide.u32 %rd3, %r5, 4;
    add.u64 %rd2, %rd2, %rd3;
    ld.global.u32 %r6, [%rd2];
    add.u32 %r6, %r6, 1;
    st.global.u32 [%rd2], %r6;
done:
    ret;
}
)";

/// Null where this machine has no GPU, after saying so.
const driver::DriverApi* gpu() {
    const driver::DriverState& state = driver::driver_state();
    if (state.api == nullptr || driver::device_count(*state.api) == 0) {
        std::cout << "SKIPPED: no GPU: " << state.reason << "\n";
        return nullptr;
    }
    return state.api;
}

constexpr std::uint32_t kCount = 1000;

/// Adds one to 0, 1, 2, … on the device; true where every element came out right.
bool add_one_works(const driver::DriverApi& api, driver::KernelHandle kernel,
                   const driver::LaunchConfig& config, driver::StreamHandle stream) {
    std::vector<std::uint32_t> values(kCount);
    std::iota(values.begin(), values.end(), 0U);
    const driver::DeviceBuffer buffer(api, kCount * sizeof(std::uint32_t));
    buffer.upload(std::as_bytes(std::span(values)));
    driver::DevicePointer data = buffer.address();
    std::uint32_t count = kCount;
    void* arguments[] = {&data, &count};
    launch(api, kernel, config, stream, arguments, "add_one");
    driver::check(api, api.stream_synchronize(stream), "cuStreamSynchronize");
    buffer.download(std::as_writable_bytes(std::span(values)));
    for (std::uint32_t i = 0; i < kCount; ++i) {
        if (values[i] != i + 1) {
            return false;
        }
    }
    return true;
}

}  // namespace

TEST_CASE("a GPU's facts are plausible and cost no context", "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr) {
        return;
    }
    const driver::DeviceInfo info = driver::device_info(*api, 0);
    CHECK_FALSE(info.name.empty());
    CHECK(info.uuid.size() == 40);
    CHECK(info.capability_major >= 7);
    CHECK(info.multiprocessors > 0);
    CHECK(info.max_threads_per_block == 1024);
    CHECK(info.shared_bytes_per_block_optin >= info.shared_bytes_per_block);
    CHECK(info.l2_bytes > 0);
    CHECK(info.memory_bytes > std::size_t{1} << 30);
    CHECK(driver::current_context(*api) == nullptr);
    CHECK_THROWS_AS(driver::device_info(*api, 1000), NoDevice);
}

TEST_CASE("PTX loads and its kernel runs: plain, cooperative, in clusters, on a stream",
          "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr) {
        return;
    }
    const driver::DeviceInfo info = driver::device_info(*api, 0);
    const driver::LoadedLibrary library(*api, as_bytes(kAddOne),
                                        "add_one.ptx");  // needs no context
    const driver::KernelHandle kernel = library.kernel("add_one");
    const driver::ScopedContext scope(*api, driver::primary_context(*api, 0));
    const driver::Stream stream(*api);

    CHECK(add_one_works(*api, kernel, {.grid_x = 8, .block_x = 128}, nullptr));
    CHECK(add_one_works(*api, kernel, {.grid_x = 8, .block_x = 128}, stream.handle()));
    if (info.cooperative_launch) {
        CHECK(add_one_works(*api, kernel, {.grid_x = 8, .block_x = 128, .cooperative = true},
                            stream.handle()));
    }
    if (info.cluster_launch) {
        CHECK(add_one_works(*api, kernel, {.grid_x = 8, .block_x = 128, .cluster_x = 2},
                            stream.handle()));
        CHECK(add_one_works(*api, kernel,
                            {.grid_x = 8, .block_x = 128, .cluster_x = 4, .cooperative = true},
                            stream.handle()));
    }
    // One load serves another context as well.
    driver::ContextHandle other = nullptr;
    REQUIRE(api->context_create(&other, info.handle) == 0);
    CHECK(add_one_works(*api, kernel, {.grid_x = 8, .block_x = 128}, nullptr));
    CHECK(api->context_destroy(other) == 0);
}

TEST_CASE("CUDA's refusals come as errors in its own words", "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr) {
        return;
    }
    const driver::ScopedContext scope(*api, driver::primary_context(*api, 0));
    // CUDA looks at code when its first kernel is asked for, not when it is loaded.
    Bytes broken_elf(64);
    const std::span<const std::byte> magic = as_bytes("\x7f"
                                                      "ELF");
    std::copy(magic.begin(), magic.end(), broken_elf.begin());
    for (const std::span<const std::byte> code :
         {as_bytes("no code at all"), std::span<const std::byte>(broken_elf)}) {
        CHECK_THROWS_WITH(
            [&] {
                const driver::LoadedLibrary nonsense(*api, code, "nonsense");
                static_cast<void>(nonsense.kernel("add_one"));
            }(),
            Contains("cuLibraryGetKernel(add_one of nonsense): CUDA_ERROR_INVALID_IMAGE (200)"));
    }
    const driver::LoadedLibrary library(*api, as_bytes(kAddOne), "add_one.ptx");
    CHECK_THROWS_WITH(
        library.kernel("sub_one"),
        Contains("cuLibraryGetKernel(sub_one of add_one.ptx): CUDA_ERROR_NOT_FOUND (500)"));
    CHECK_THROWS_WITH(
        launch(*api, library.kernel("add_one"), {.block_x = 4096}, nullptr, nullptr, "add_one"),
        Contains("cuLaunchKernel(add_one, grid 1x1x1, block 4096x1x1") &&
            Contains("CUDA_ERROR_INVALID_VALUE"));
    CHECK_THROWS_WITH(driver::DeviceBuffer(*api, std::size_t{1} << 50),
                      Contains("CUDA_ERROR_OUT_OF_MEMORY (2)"));
}

TEST_CASE("a typed kernel is compared with the loaded one, and runs", "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr) {
        return;
    }
    if (driver::driver_state().version < 12040) {
        std::cout << "SKIPPED: the driver says nothing of parameters before CUDA 12.4\n";
        return;
    }
    const driver::LoadedLibrary library(*api, as_bytes(kAddOne), "add_one.ptx");
    const driver::KernelHandle handle = library.kernel("add_one");
    const driver::Kernel<void(std::uint32_t*, std::uint32_t)> add_one(*api, handle, "add_one",
                                                                      nullptr);
    const driver::Kernel<void(std::uint32_t*)> too_short(*api, handle, "add_one", nullptr);

    const driver::ScopedContext scope(*api, driver::primary_context(*api, 0));
    CHECK_THROWS_WITH(too_short({}, nullptr, nullptr),
                      Contains("the signature has 1 parameters, the kernel takes more"));
    CHECK_THROWS_WITH((driver::Kernel<void(std::uint32_t*, std::uint32_t, int)>(
                          *api, handle, "add_one", nullptr)),
                      Contains("the signature has 3 parameters, the kernel takes 2"));
    CHECK_THROWS_WITH(
        (driver::Kernel<void(std::uint32_t*, std::uint64_t)>(*api, handle, "add_one", nullptr)),
        Contains("8 bytes at offset 8, the kernel takes 4 bytes at offset 8"));

    std::vector<std::uint32_t> values(kCount, 6);
    const driver::DeviceBuffer buffer(*api, kCount * sizeof(std::uint32_t));
    buffer.upload(std::as_bytes(std::span(values)));
    add_one(driver::over(kCount, 128), nullptr, static_cast<std::uint32_t*>(buffer.data()), kCount);
    buffer.download(std::as_writable_bytes(std::span(values)));
    CHECK(std::count(values.begin(), values.end(), 7U) == kCount);
}

TEST_CASE("occupancy is asked for a kernel's function, with opted-in shared memory",
          "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr) {
        return;
    }
    const driver::DeviceInfo info = driver::device_info(*api, 0);
    const driver::LoadedLibrary library(*api, as_bytes(kAddOne), "add_one.ptx");
    const driver::KernelHandle kernel = library.kernel("add_one");
    const driver::ScopedContext scope(*api, driver::primary_context(*api, 0));
    driver::FunctionHandle function = nullptr;
    REQUIRE(api->kernel_get_function(&function, kernel) == 0);
    int blocks = 0;
    REQUIRE(api->occupancy_blocks(&blocks, function, 1024, 0) == 0);
    CHECK(blocks == info.max_threads_per_multiprocessor / 1024);
    REQUIRE(api->kernel_set_max_dynamic_shared(kernel, info.handle,
                                               info.shared_bytes_per_block_optin) == 0);
    driver::LaunchConfig config{.grid_x = 8, .block_x = 128};
    config.shared_bytes = static_cast<std::uint32_t>(info.shared_bytes_per_block_optin);
    CHECK(add_one_works(*api, kernel, config, nullptr));
}

TEST_CASE("the caller's context is as it was, whatever happened in a scope", "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr) {
        return;
    }
    CHECK(driver::current_context(*api) == nullptr);
    const driver::ContextHandle primary = driver::primary_context(*api, 0);
    CHECK(driver::current_context(*api) == nullptr);
    driver::ContextHandle own = nullptr;
    REQUIRE(api->context_create(&own, driver::device_info(*api, 0).handle) == 0);
    {
        const driver::ScopedContext scope(*api, primary);
        CHECK(driver::current_context(*api) == primary);
        const driver::ScopedContext again(*api, primary);
        CHECK_THROWS_AS(driver::DeviceBuffer(*api, std::size_t{1} << 50), DriverError);
    }
    CHECK(driver::current_context(*api) == own);
    driver::StreamHandle stream = nullptr;
    REQUIRE(api->stream_create(&stream, 0) == 0);
    driver::ContextHandle owner = nullptr;
    CHECK(api->stream_get_context(stream, &owner) == 0);
    CHECK(owner == own);
    int status = -1;
    CHECK(api->stream_is_capturing(stream, &status) == 0);
    CHECK(status == 0);
    CHECK(api->stream_destroy(stream) == 0);
    CHECK(api->context_destroy(own) == 0);
    CHECK(driver::current_context(*api) == nullptr);
}

TEST_CASE("events time what a stream did", "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr) {
        return;
    }
    const driver::ScopedContext scope(*api, driver::primary_context(*api, 0));
    const driver::Stream stream(*api);
    const driver::Event start(*api);
    const driver::Event end(*api);
    const driver::DeviceBuffer buffer(*api, std::size_t{256} << 20);
    start.record(stream.handle());
    REQUIRE(api->fill_async(buffer.address(), 7, buffer.size_bytes(), stream.handle()) == 0);
    end.record(stream.handle());
    end.synchronize();
    CHECK(end.since(start).count() > 0.01F);  // 256 MiB at less than 26 TB/s
    CHECK(end.since(start).count() < 1000.0F);
    stream.synchronize();
    Bytes last(1);
    buffer.download(last, buffer.size_bytes() - 1);
    CHECK(last[0] == std::byte{7});
}

TEST_CASE("memory taken and freed in a stream's order holds what was copied", "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr || !driver::device_info(*api, 0).memory_pools) {
        return;
    }
    const driver::ScopedContext scope(*api, driver::primary_context(*api, 0));
    const driver::Stream stream(*api);
    const driver::DeviceBuffer result(*api, 64);
    driver::DevicePointer workspace = 0;
    REQUIRE(api->memory_allocate_async(&workspace, 64, stream.handle()) == 0);
    REQUIRE(api->fill_async(workspace, 9, 64, stream.handle()) == 0);
    REQUIRE(api->copy_device_async(result.address(), workspace, 64, stream.handle()) == 0);
    REQUIRE(api->memory_free_async(workspace, stream.handle()) == 0);
    stream.synchronize();
    Bytes back(64);
    result.download(back);
    CHECK(back == Bytes(64, std::byte{9}));
}

TEST_CASE("a child forked after a GPU was used gets an error and the parent goes on",
          "[driver][gpu]") {
    const driver::DriverApi* const api = gpu();
    if (api == nullptr) {
        return;
    }
    const driver::ContextHandle primary = driver::primary_context(*api, 0);
    const driver::LoadedLibrary library(*api, as_bytes(kAddOne), "add_one.ptx");
    const test::ChildResult child = test::run_in_child([&](std::ostream& out) {
        try {
            static_cast<void>(driver::real_driver());
        } catch (const DriverError& error) {
            out << error.what() << '\n';
        }
        try {
            const driver::ScopedContext scope(*api, primary);
        } catch (const DriverError& error) {
            out << error.what() << '\n';
        }
    });
    CHECK(child.exit_code == 0);
    CHECK_THAT(child.output, Contains("use a GPU: initialization error: this process was forked"));
    CHECK_THAT(child.output, Contains("cuCtxGetCurrent: CUDA_ERROR_NOT_INITIALIZED (3)"));
    const driver::ScopedContext scope(*api, primary);
    CHECK(add_one_works(*api, library.kernel("add_one"), {.grid_x = 8, .block_x = 128}, nullptr));
}
