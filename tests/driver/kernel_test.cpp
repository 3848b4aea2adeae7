#include "support/fake_driver.hpp"

#include <opforge/base/error.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/kernel.hpp>
#include <opforge/driver/loaded_library.hpp>

#include <catch2/catch.hpp>

#include <memory>

using namespace opforge;
using Catch::Matchers::Contains;
using Scale = driver::Kernel<void(const float*, float*, int)>;

namespace {

// A fake GPU whose kernel "scale" has parameters of these sizes.
struct Machine {
    test::FakeDriver driver;
    driver::LoadedLibrary library{driver, Bytes(1), "code"};

    explicit Machine(std::vector<std::size_t> sizes) {
        driver.set_kernel_parameters("scale", std::move(sizes));
    }
    [[nodiscard]] Scale scale_without_context() const {
        return {driver, library.kernel("scale"), "program: scale", nullptr};
    }
    [[nodiscard]] Scale scale() const {
        const driver::ScopedContext scope(driver, primary_context(driver, 0));
        return scale_without_context();
    }
};

}  // namespace

TEST_CASE("a typed kernel passes its arguments in order, each as the parameter's type",
          "[driver]") {
    Machine machine({8, 8, 4});
    const driver::ScopedContext scope(machine.driver, primary_context(machine.driver, 0));
    const Scale scale = machine.scale();
    float input = 0;
    float output = 0;
    const short count = 300;  // widened: the kernel reads an int
    machine.driver.on_launch([&](const test::FakeLaunch& launch) {
        CHECK(*static_cast<const float**>(launch.arguments[0]) == &input);
        CHECK(*static_cast<float**>(launch.arguments[1]) == &output);
        CHECK(*static_cast<int*>(launch.arguments[2]) == 300);
        return 0;
    });
    scale(driver::over(300, 128), nullptr, &input, &output, count);
    REQUIRE(machine.driver.launches().size() == 1);
    CHECK(machine.driver.launches()[0].config.grid_x == 3);
    CHECK(machine.driver.launches()[0].config.block_x == 128);
}

TEST_CASE("a kernel without parameters is launched", "[driver]") {
    const test::FakeDriver driver;
    const driver::LoadedLibrary library(driver, Bytes(1), "code");
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    const driver::Kernel<void()> kernel(driver, library.kernel("scale"), "scale", nullptr);
    kernel({}, nullptr);
    CHECK(driver.launches().size() == 1);
}

TEST_CASE("a signature that differs from the loaded kernel is refused with the difference",
          "[driver]") {
    CHECK_NOTHROW(static_cast<void>(Machine({8, 8, 4}).scale()));
    CHECK_THROWS_WITH(static_cast<void>(Machine({8, 8}).scale()),
                      Contains("program: scale") &&
                          Contains("the signature has 3 parameters, the kernel takes 2"));
    CHECK_THROWS_WITH(static_cast<void>(Machine({8, 8, 4, 4}).scale()),
                      Contains("the signature has 3 parameters, the kernel takes more"));
    CHECK_THROWS_WITH(static_cast<void>(Machine({8, 8, 8}).scale()),
                      Contains("parameter 3 of the signature has 4 bytes at offset 16, the kernel "
                               "takes 8 bytes at offset 16"));
    CHECK_THROWS_AS(static_cast<void>(Machine({8, 4, 4}).scale()), InvalidArgument);
}

TEST_CASE("a driver that cannot say is asked once", "[driver]") {
    const test::FakeDriver driver;
    const driver::LoadedLibrary library(driver, Bytes(1), "code");
    const driver::ScopedContext scope(driver, primary_context(driver, 0));
    const Scale scale(driver, library.kernel("scale"), "scale", nullptr);
    scale({}, nullptr, nullptr, nullptr, 0);
    CHECK(driver.count("kernel_parameter") == 1);
}

TEST_CASE("a kernel that was made without a context is checked by its first call", "[driver]") {
    const Machine wrong({8, 8, 8});
    const Scale refused = wrong.scale_without_context();
    const Machine right({8, 8, 4});
    const Scale taken = right.scale_without_context();
    {
        const driver::ScopedContext scope(wrong.driver, primary_context(wrong.driver, 0));
        CHECK_THROWS_AS(refused({}, nullptr, nullptr, nullptr, 0), InvalidArgument);
        CHECK_THROWS_AS(Scale(refused)({}, nullptr, nullptr, nullptr, 0), InvalidArgument);
        CHECK(wrong.driver.launches().empty());
    }
    const driver::ScopedContext scope(right.driver, primary_context(right.driver, 0));
    taken({}, nullptr, nullptr, nullptr, 0);
    const auto asked = right.driver.count("kernel_parameter");
    taken({}, nullptr, nullptr, nullptr, 0);
    CHECK(right.driver.launches().size() == 2);
    CHECK(right.driver.count("kernel_parameter") == asked);
}

TEST_CASE("a driver's own error is no difference of a signature", "[driver]") {
    Machine machine({8, 8, 4});
    machine.driver.fail_always("kernel_parameter", 700);
    CHECK_THROWS_AS(static_cast<void>(machine.scale()), DriverError);
}

TEST_CASE("a typed kernel keeps its owner alive", "[driver]") {
    const Machine machine({8, 8, 4});
    auto owner = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = owner;
    {
        const Scale scale(machine.driver, machine.library.kernel("scale"), "scale", owner);
        owner.reset();
        CHECK_FALSE(watched.expired());
    }
    CHECK(watched.expired());
}

TEST_CASE("a launch over a count of elements has as many blocks as it takes", "[driver]") {
    CHECK(driver::over(0).grid_x == 1);
    CHECK(driver::over(256).grid_x == 1);
    CHECK(driver::over(257).grid_x == 2);
    CHECK(driver::over(257).block_x == 256);
    CHECK(driver::over(std::uint64_t{2147483647} * 32, 32).grid_x == 2147483647);
    CHECK_THROWS_WITH(driver::over(std::uint64_t{2147483647} * 32 + 1, 32),
                      Contains("more than a grid's 2147483647"));
    CHECK_THROWS_AS(driver::over(1, 0), InvalidArgument);
}
