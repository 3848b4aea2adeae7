// Libraries, streams, events, memory: made, used, given back.
#include "support/fake_driver.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/loaded_library.hpp>
#include <opforge/driver/stream.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <utility>

using namespace opforge;
using driver::DeviceBuffer;
using driver::LoadedLibrary;
using test::FakeDriver;
using test::FakeOutstanding;

namespace {

const Bytes kCode(16, std::byte{1});

}  // namespace

TEST_CASE("a library gives its kernels and unloads once", "[driver]") {
    FakeDriver driver;
    driver.set_kernel_names({"add"});
    {
        LoadedLibrary library(driver, kCode, "quantizer");
        const driver::KernelHandle kernel = library.kernel("add");
        CHECK(kernel != nullptr);
        CHECK_THROWS_WITH(library.kernel("sub"),
                          Catch::Contains("cuLibraryGetKernel(sub of quantizer): "
                                          "CUDA_ERROR_NOT_FOUND (500)"));
        const LoadedLibrary moved = std::move(library);
        CHECK(moved.kernel("add") == kernel);
        CHECK(moved.label() == "quantizer");
        LoadedLibrary other(driver, kCode, "other");
        CHECK(driver.outstanding().libraries == 2);
        other = LoadedLibrary(driver, kCode, "third");
        CHECK(other.label() == "third");
        CHECK(driver.outstanding().libraries == 2);
    }
    CHECK(driver.outstanding() == FakeOutstanding{});
    CHECK(driver.count("library_unload") == 3);
}

TEST_CASE("code that the driver refuses is an error with its label, and leaves nothing behind",
          "[driver]") {
    FakeDriver driver;
    driver.refuse_code(kCode, 209);
    CHECK_THROWS_WITH(
        LoadedLibrary(driver, kCode, "ds_quantize_fp16"),
        Catch::Contains("cuLibraryLoadData(ds_quantize_fp16): CUDA_ERROR_NO_BINARY_FOR_GPU (209)"));
    CHECK(driver.outstanding() == FakeOutstanding{});
    CHECK(driver.count("library_unload") == 0);
}

TEST_CASE("a refused unload is nobody's error", "[driver]") {
    FakeDriver driver;
    driver.fail("library_unload", 4);
    CHECK_NOTHROW(LoadedLibrary(driver, kCode, "at exit"));
}

TEST_CASE("device memory takes and gives bytes at an offset and is freed once", "[driver]") {
    const FakeDriver driver;
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    {
        DeviceBuffer buffer(driver, 8);
        const Bytes two = {std::byte{5}, std::byte{6}};
        buffer.upload(two, 6);
        Bytes back(2);
        buffer.download(back, 6);
        CHECK(back == two);
        CHECK(buffer.data() == reinterpret_cast<void*>(buffer.address()));

        DeviceBuffer moved = std::move(buffer);
        CHECK(moved.size_bytes() == 8);
        moved = DeviceBuffer(driver, 4);
        CHECK(moved.size_bytes() == 4);
        CHECK(driver.outstanding().allocations == 1);
    }
    CHECK(driver.outstanding() == FakeOutstanding{});
}

TEST_CASE("an upload is on the device when it returns", "[driver]") {
    FakeDriver driver;
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    const DeviceBuffer buffer(driver, 8);
    driver.forget_calls();
    buffer.upload(Bytes(8));
    REQUIRE(driver.calls().size() == 2);
    CHECK(driver.calls()[0].function == "copy_to_device");
    CHECK(driver.calls()[1].function == "stream_synchronize");
}

TEST_CASE("a copy past the buffer's end is refused before CUDA sees it", "[driver]") {
    FakeDriver driver;
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    const DeviceBuffer buffer(driver, 8);
    Bytes nine(9);
    driver.forget_calls();
    CHECK_THROWS_AS(buffer.upload(nine), InvalidArgument);
    CHECK_THROWS_AS(buffer.download(nine), InvalidArgument);
    CHECK_THROWS_AS(buffer.upload(Bytes(1), 8), InvalidArgument);
    CHECK_THROWS_WITH(buffer.upload(Bytes(1), SIZE_MAX),
                      Catch::Contains("the device buffer has 8 bytes"));
    CHECK(driver.count() == 0);
}

TEST_CASE("an empty buffer is none of CUDA's business", "[driver]") {
    const FakeDriver driver;
    const DeviceBuffer buffer(driver, 0);
    buffer.upload({});
    buffer.download({});
    CHECK(buffer.address() == 0);
    CHECK(driver.count() == 0);
}

TEST_CASE("a device that is full says how much was asked for", "[driver]") {
    const FakeDriver driver({test::FakeDevice{.memory_bytes = 100}});
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    CHECK_THROWS_WITH(
        DeviceBuffer(driver, 101),
        Catch::Contains("cuMemAlloc(101 bytes): CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"));
    FakeDriver broken;
    const driver::ScopedContext other(broken, primary_context(broken, 0));
    const DeviceBuffer buffer(broken, 8);
    broken.fail("copy_to_device", 700);
    CHECK_THROWS_AS(buffer.upload(Bytes(8)), DriverError);
    broken.fail("stream_synchronize", 700);
    CHECK_THROWS_AS(buffer.upload(Bytes(8)), DriverError);
    broken.fail("copy_to_host", 700);
    Bytes into(8);
    CHECK_THROWS_AS(buffer.download(into), DriverError);
}

TEST_CASE("streams and events are made in the current context and given back", "[driver]") {
    FakeDriver driver;
    CHECK_THROWS_WITH(driver::Stream(driver),
                      Catch::Contains("cuStreamCreate: CUDA_ERROR_INVALID_CONTEXT"));
    CHECK_THROWS_WITH(driver::Event(driver),
                      Catch::Contains("cuEventCreate: CUDA_ERROR_INVALID_CONTEXT"));
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    {
        const driver::Stream stream(driver);
        const driver::Event start(driver);
        const driver::Event end(driver);
        CHECK_THROWS_AS(end.since(start), DriverError);  // neither is recorded
        start.record(stream.handle());
        end.record(nullptr);
        end.synchronize();
        stream.synchronize();
        CHECK(end.since(start).count() == 1.0F);
        driver.fail("stream_synchronize", 719);
        CHECK_THROWS_WITH(stream.synchronize(),
                          Catch::Contains("cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED"));
        driver.fail("event_synchronize", 719);
        CHECK_THROWS_AS(end.synchronize(), DriverError);
        driver.fail("event_record", 719);
        CHECK_THROWS_AS(end.record(nullptr), DriverError);
    }
    CHECK(driver.outstanding() == FakeOutstanding{});
}
