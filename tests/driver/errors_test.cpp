#include "support/fake_driver.hpp"

#include <opforge/driver/errors.hpp>

#include <catch2/catch.hpp>

using namespace opforge;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

TEST_CASE("a driver error has the call, its subject, and CUDA's own name, number and text",
          "[driver]") {
    const test::FakeDriver driver;
    const DriverError error(driver, 200, "cuLibraryLoadData", "ds_quantize_fp16");
    CHECK_THAT(
        error.what(),
        Equals("cuLibraryLoadData(ds_quantize_fp16): CUDA_ERROR_INVALID_IMAGE (200): device kernel "
               "image is invalid"));
    CHECK(error.result() == 200);
    CHECK(error.kind() == "DriverError");
    CHECK_THAT(
        DriverError(driver, 400, "cuStreamSynchronize").what(),
        Equals("cuStreamSynchronize: CUDA_ERROR_INVALID_HANDLE (400): invalid resource handle"));
}

TEST_CASE("a result that the driver cannot name keeps its number", "[driver]") {
    test::FakeDriver driver;
    CHECK_THAT(DriverError(driver, 4711, "cuInit").what(),
               Equals("cuInit: unknown CUDA error (4711)"));
    driver.fail_always("error_name", 1);
    driver.fail_always("error_string", 1);
    CHECK_THAT(DriverError(driver, 200, "cuInit").what(),
               Equals("cuInit: unknown CUDA error (200)"));
}

TEST_CASE("an error that users can do something about says what", "[driver]") {
    const test::FakeDriver driver;
    CHECK_THAT(DriverError(driver, 2, "cuMemAlloc", "5 bytes").what(),
               Contains("free device memory"));
    CHECK_THAT(DriverError(driver, 222, "cuLibraryLoadData").what(), Contains("update the driver"));
    CHECK_THAT(DriverError(driver, 700, "cuStreamSynchronize").what(),
               Contains("compute-sanitizer"));
}

TEST_CASE("an error of no CUDA call has no result", "[driver]") {
    CHECK(DriverError("forked").result() == 0);
    CHECK(NoDevice("none").kind() == "NoDevice");
}

TEST_CASE("check throws for any result but success", "[driver]") {
    const test::FakeDriver driver;
    CHECK_NOTHROW(driver::check(driver, 0, "cuInit"));
    CHECK_THROWS_AS(driver::check(driver, 1, "cuInit"), DriverError);
}
