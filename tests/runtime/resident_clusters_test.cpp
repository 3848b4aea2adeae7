#include "resident_clusters.hpp"

#include "support/fake_driver.hpp"

#include <opforge/driver/launch.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <cstddef>
#include <limits>

using opforge::driver::KernelHandle;
using opforge::driver::LaunchConfig;
using opforge::runtime::ResidentClusters;
using opforge::test::FakeDevice;
using opforge::test::FakeDriver;

namespace {

constexpr LaunchConfig kCluster{.block_x = 256, .shared_bytes = 32768, .cluster_x = 8};
constexpr LaunchConfig kBlock{.block_x = 512, .shared_bytes = 65536};

struct Loaded {
    FakeDriver driver{{FakeDevice{}}};
    KernelHandle kernel = nullptr;

    Loaded() {
        opforge::driver::ContextHandle context = nullptr;
        opforge::driver::LibraryHandle library = nullptr;
        opforge::driver::FunctionHandle function = nullptr;
        const std::array<std::byte, 4> code{};
        REQUIRE(driver.init() == 0);
        REQUIRE(driver.primary_context_retain(&context, 0) == 0);
        REQUIRE(driver.context_set_current(context) == 0);
        REQUIRE(driver.library_load(&library, code) == 0);
        REQUIRE(driver.library_get_kernel(&kernel, library, "add") == 0);
        REQUIRE(driver.kernel_get_function(&function, kernel) == 0);
        kernel = opforge::driver::as_kernel(function);
    }
};

}  // namespace

TEST_CASE("a shape is asked about once, until another one is", "[runtime]") {
    Loaded on;
    ResidentClusters resident;
    on.driver.set_occupancy_clusters(98);
    on.driver.set_occupancy_blocks(3);
    CHECK(resident.of(on.driver, on.kernel, kCluster, 132) == 98);
    CHECK(resident.of(on.driver, on.kernel, kCluster, 132) == 98);
    CHECK(on.driver.count("occupancy_clusters") == 1);
    LaunchConfig launch = kCluster;
    launch.grid_x = 8 * 1000;
    CHECK(resident.grid(on.driver, on.kernel, launch, 132) == 8 * 98);
    launch.grid_x = 8 * 5;
    CHECK(resident.grid(on.driver, on.kernel, launch, 132) == 8 * 5);
    // A cluster of one block.
    CHECK(resident.of(on.driver, on.kernel, kBlock, 132) == 3 * 132);
    CHECK(resident.of(on.driver, on.kernel, kBlock, 132) == 3 * 132);
    CHECK(on.driver.count("occupancy_blocks") == 1);
    LaunchConfig less = kCluster;
    for (const auto change : {0, 1, 2}) {
        CAPTURE(change);
        less.block_x = change == 0 ? 512 : 256;
        less.cluster_x = change == 1 ? 4 : 8;
        less.shared_bytes = change == 2 ? 16384 : 32768;
        on.driver.set_occupancy_clusters(50 + change);
        CHECK(resident.of(on.driver, on.kernel, less, 132) == 50U + static_cast<unsigned>(change));
    }
}

TEST_CASE("a driver that cannot say limits nothing", "[runtime]") {
    Loaded on;
    ResidentClusters resident;
    constexpr std::uint32_t kAll = std::numeric_limits<std::int32_t>::max();
    on.driver.fail("occupancy_clusters", 801);
    CHECK(resident.of(on.driver, on.kernel, kCluster, 132) == kAll);
    on.driver.set_occupancy_clusters(0);
    CHECK(ResidentClusters{}.of(on.driver, on.kernel, kCluster, 132) == kAll);
}
