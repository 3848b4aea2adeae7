#include "support/fake_driver.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/launch.hpp>
#include <opforge/driver/loaded_library.hpp>

#include <catch2/catch.hpp>

using namespace opforge;
using test::FakeDriver;

TEST_CASE("a launch passes its shape, stream and arguments on", "[driver]") {
    FakeDriver driver;
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    const driver::LoadedLibrary library(driver, Bytes(1), "code");
    int seen = 0;
    driver.on_launch([&](const test::FakeLaunch& launch) {
        seen = *static_cast<int*>(launch.arguments[0]);
        return 0;
    });
    int value = 7;
    void* arguments[] = {&value};
    const driver::LaunchConfig config{.grid_x = 3, .block_x = 128, .shared_bytes = 64};
    driver.forget_calls();
    launch(driver, library.kernel("add"), config, nullptr, arguments, "add");
    CHECK(seen == 7);
    REQUIRE(driver.launches().size() == 1);
    CHECK(driver.launches()[0].kernel == "add");
    CHECK(driver.launches()[0].config.grid_x == 3);
    CHECK(driver.launches()[0].config.shared_bytes == 64);
    CHECK(driver.count("launch") == 1);
}

TEST_CASE("a refused launch names the kernel, the reason and the shape", "[driver]") {
    FakeDriver driver;
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    const driver::LoadedLibrary library(driver, Bytes(1), "code");
    const driver::KernelHandle kernel = library.kernel("add");
    driver.fail_always("launch", 701);
    CHECK_THROWS_WITH(
        launch(driver, kernel, {.grid_x = 3, .block_x = 128, .shared_bytes = 64}, nullptr, nullptr,
               "add"),
        "cuLaunchKernel(add, grid 3x1x1, block 128x1x1, 64 bytes of shared memory): "
        "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES (701): too many resources requested for launch");
    CHECK_THROWS_WITH(
        launch(driver, kernel, {.cluster_x = 2, .cooperative = true}, nullptr, nullptr, "add"),
        Catch::Contains(
            "cuLaunchKernelEx(add, grid 1x1x1, block 1x1x1, 0 bytes of shared memory, cluster "
            "2x1x1, cooperative)"));
}
