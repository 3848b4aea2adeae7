#include "support/fake_driver.hpp"

#include <opforge/driver/device.hpp>
#include <opforge/driver/errors.hpp>

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace opforge;
using driver::Attribute;
using test::FakeDriver;

TEST_CASE("a device's facts come from the driver, without a context", "[driver]") {
    const FakeDriver driver({{.name = "NVIDIA A100-SXM4-80GB",
                              .major = 8,
                              .minor = 6,
                              .memory_bytes = 12345,
                              .attributes = {{Attribute::multiprocessor_count, 108},
                                             {Attribute::max_threads_per_block, 1},
                                             {Attribute::max_threads_per_multiprocessor, 2},
                                             {Attribute::max_shared_memory_per_block, 3},
                                             {Attribute::max_shared_memory_per_block_optin, 4},
                                             {Attribute::max_shared_memory_per_multiprocessor, 5},
                                             {Attribute::l2_cache_bytes, 6},
                                             {Attribute::cooperative_launch, 1},
                                             {Attribute::cluster_launch, 0},
                                             {Attribute::memory_pools_supported, 1}}}});
    const driver::DeviceInfo info = driver::device_info(driver, 0);
    CHECK(info.ordinal == 0);
    CHECK(info.name == "NVIDIA A100-SXM4-80GB");
    CHECK(info.uuid == "GPU-00102030-4050-6070-8090-a0b0c0d0e0f0");
    CHECK(info.capability_major == 8);
    CHECK(info.capability_minor == 6);
    CHECK(info.multiprocessors == 108);
    CHECK(info.max_threads_per_block == 1);
    CHECK(info.max_threads_per_multiprocessor == 2);
    CHECK(info.shared_bytes_per_block == 3);
    CHECK(info.shared_bytes_per_block_optin == 4);
    CHECK(info.shared_bytes_per_multiprocessor == 5);
    CHECK(info.l2_bytes == 6);
    CHECK(info.memory_bytes == 12345);
    CHECK(info.cooperative_launch);
    CHECK_FALSE(info.cluster_launch);
    CHECK(info.memory_pools);
    CHECK(driver.count("primary_context_retain") == 0);
    CHECK(driver.count("context_create") == 0);
}

TEST_CASE("a MIG slice's UUID says that it is one", "[driver]") {
    const FakeDriver driver({{.name = "NVIDIA A100-SXM4-80GB MIG 1g.10gb"}});
    CHECK(driver::device_info(driver, 0).uuid.substr(0, 4) == "MIG-");
}

TEST_CASE("a device number out of range is an error that says which exist", "[driver]") {
    ::setenv("CUDA_VISIBLE_DEVICES", "2,3", 1);
    const FakeDriver driver({{}, {}});
    CHECK(driver::device_count(driver) == 2);
    CHECK_THROWS_AS(driver::device_info(driver, -1), NoDevice);
    CHECK_THROWS_WITH(driver::device_info(driver, 2),
                      "use CUDA device 2: this process sees 2 devices (CUDA_VISIBLE_DEVICES=2,3); "
                      "take a number from "
                      "0 to 1");
    ::unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST_CASE("a driver without a GPU counts none", "[driver]") {
    const FakeDriver driver{std::vector<test::FakeDevice>{}};
    CHECK(driver::device_count(driver) == 0);
    CHECK_THROWS_WITH(driver::device_info(driver, 0), Catch::Contains("sees no CUDA device"));
}

TEST_CASE("a question that the driver refuses names the device and the attribute", "[driver]") {
    FakeDriver driver;
    driver.fail("device_count", 3);
    CHECK_THROWS_WITH(driver::device_count(driver),
                      Catch::Contains("cuDeviceGetCount: CUDA_ERROR_NOT_INITIALIZED"));
    driver.fail("device_attribute", 1, 3);
    CHECK_THROWS_WITH(driver::device_info(driver, 0),
                      Catch::Contains("cuDeviceGetAttribute(device 0, attribute 16)"));
    for (const char* function :
         {"device_get", "device_name", "device_uuid", "device_total_memory"}) {
        driver.fail(function, 1);
        CHECK_THROWS_AS(driver::device_info(driver, 0), DriverError);
    }
    CHECK_NOTHROW(driver::device_info(driver, 0));
}
