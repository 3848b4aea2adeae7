// The comparison of GPU and host in the ops with codes, itself compared, as gpu_batches_test.cpp
// does it.
#include "ops_gpu_batches.hpp"
#include "runtime/fake_gpu.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/kernels/quantize_arguments.cuh>

#include <catch2/catch.hpp>

using namespace opforge::test;
namespace driver = opforge::driver;
namespace kernels = opforge::kernels;

TEST_CASE("batches of ops with codes find no difference where the GPU computes what the host does",
          "[runtime]") {
    FakeGpu gpu;
    const driver::ScopedContext current(gpu.driver, driver::primary_context(gpu.driver, 0));
    OpsGpuBatches batches(gpu.driver);
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
        batches.add(random_ops_case(seed, 4096));
    }
    CHECK(batches.failures() == 0);
    CHECK(gpu.kernels().size() >= 390);  // empty dequantizations launch nothing
}

TEST_CASE("batches find every case with codes that the GPU leaves undone", "[runtime]") {
    FakeGpu gpu;
    const driver::ScopedContext current(gpu.driver, driver::primary_context(gpu.driver, 0));
    gpu.driver.on_launch([](const FakeLaunch&) { return 0; });
    OpsGpuBatches batches(gpu.driver);
    for (int op = 0; op < kOps; ++op) {
        batches.add(ops_case(static_cast<Op>(op), 3, 60));
    }
    CHECK(batches.failures() == kOps);
}

TEST_CASE("batches find one byte beside the codes or records, and a changed input", "[runtime]") {
    enum class Stray { before_codes, behind_codes, before_params, input };
    for (const Stray where :
         {Stray::before_codes, Stray::behind_codes, Stray::before_params, Stray::input}) {
        FakeGpu gpu;
        const driver::ScopedContext current(gpu.driver, driver::primary_context(gpu.driver, 0));
        gpu.driver.on_launch([where](const FakeLaunch& launch) {
            const auto& arguments =
                *static_cast<const kernels::QuantizeArguments*>(launch.arguments[0]);
            auto* params = reinterpret_cast<std::byte*>(arguments.params);
            auto* codes = reinterpret_cast<std::byte*>(arguments.codes);
            auto* input = static_cast<std::byte*>(const_cast<void*>(arguments.input));
            std::byte* const byte = where == Stray::before_codes    ? codes - 1
                                    : where == Stray::behind_codes  ? codes + 240
                                    : where == Stray::before_params ? params - 1
                                                                    : input + 1;
            *byte ^= std::byte{1};
            return 0;
        });
        OpsGpuBatches batches(gpu.driver);
        batches.add(ops_case(Op::quantize, 0, 60));  // four groups, eight bits
        CHECK(batches.failures() == 2);              // what was left undone, and the stray byte
    }
}
