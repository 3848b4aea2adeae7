#include "support/fake_driver.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>

#include <catch2/catch.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

using namespace opforge;
using driver::ContextHandle;
using driver::ScopedContext;
using test::FakeDriver;

namespace {

ContextHandle created(const FakeDriver& driver, int device = 0) {
    ContextHandle context = nullptr;
    REQUIRE(driver.context_create(&context, device) == 0);
    return context;
}

}  // namespace

TEST_CASE("a thread without a context has none again after the scope", "[driver]") {
    const FakeDriver driver;
    const ContextHandle context = primary_context(driver, 0);
    {
        const ScopedContext scope(driver, context);
        CHECK(current_context(driver) == context);
    }
    CHECK(current_context(driver) == nullptr);
    CHECK(driver.context_stack().empty());
}

TEST_CASE("the caller's own context is current again after the scope, also after an exception",
          "[driver]") {
    const FakeDriver driver;
    const ContextHandle outer = created(driver);
    const ContextHandle callers = created(driver);
    const auto before = driver.context_stack();
    REQUIRE(before == std::vector{outer, callers});
    try {
        const ScopedContext scope(driver, primary_context(driver, 0));
        CHECK(current_context(driver) != callers);
        throw std::runtime_error("midway");
    } catch (const std::runtime_error&) {
    }
    CHECK(driver.context_stack() == before);
}

TEST_CASE("a context that is current already is not pushed a second time", "[driver]") {
    FakeDriver driver;
    const ContextHandle context = created(driver);
    driver.forget_calls();
    {
        const ScopedContext scope(driver, context);
        CHECK(current_context(driver) == context);
    }
    CHECK(driver.count("context_push") == 0);
    CHECK(driver.count("context_pop") == 0);
    CHECK(driver.context_stack() == std::vector{context});
}

TEST_CASE("a context that CUDA refuses is an error and leaves the caller's", "[driver]") {
    FakeDriver driver;
    CHECK_THROWS_AS(ScopedContext(driver, nullptr), DriverError);
    const ContextHandle callers = created(driver);
    const ContextHandle other = primary_context(driver, 0);
    driver.fail("context_push", 201);
    CHECK_THROWS_WITH(ScopedContext(driver, other),
                      Catch::Contains("cuCtxPushCurrent") && Catch::Contains("(201)"));
    driver.fail("context_get_current", 3);
    CHECK_THROWS_WITH(ScopedContext(driver, other), Catch::Contains("cuCtxGetCurrent"));
    CHECK(driver.context_stack() == std::vector{callers});
}

TEST_CASE("a device's primary context is retained once and remembered", "[driver]") {
    FakeDriver driver({{}, {}});
    const ContextHandle first = primary_context(driver, 0);
    const ContextHandle second = primary_context(driver, 1);
    CHECK(first != second);
    CHECK(primary_context(driver, 0) == first);
    CHECK(primary_context(driver, 1) == second);
    CHECK(driver.primary_retains(0) == 1);
    CHECK(driver.count("primary_context_retain") == 2);
    CHECK(driver.context_stack().empty());
}

TEST_CASE("threads that race for a primary context keep one retain between them", "[driver]") {
    const FakeDriver driver;
    std::vector<std::thread> threads;
    std::vector<ContextHandle> found(8);
    for (ContextHandle& mine : found) {
        threads.emplace_back([&] { mine = primary_context(driver, 0); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const ContextHandle context : found) {
        CHECK(context == found.front());
    }
    CHECK(driver.primary_retains(0) == 1);
}

TEST_CASE("a failed retain is not remembered", "[driver]") {
    FakeDriver driver;
    driver.fail("primary_context_retain", 2);
    CHECK_THROWS_WITH(
        primary_context(driver, 0),
        Catch::Contains("cuDevicePrimaryCtxRetain(device 0): CUDA_ERROR_OUT_OF_MEMORY (2)"));
    CHECK(primary_context(driver, 0) != nullptr);
    CHECK_THROWS_AS(primary_context(driver, 1), DriverError);
}

TEST_CASE("a table at the address of a dead one gets contexts of its own", "[driver]") {
    std::optional<FakeDriver> driver;
    for (int life = 0; life < 3; ++life) {
        driver.emplace();
        CHECK(primary_context(*driver, 0) != nullptr);
        CHECK(driver->primary_retains(0) == 1);
    }
}
