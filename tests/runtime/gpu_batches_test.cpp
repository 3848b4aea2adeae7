// The comparison of GPU and host, itself compared: with a fake GPU that computes, one that does
// nothing, and one that writes where it should not.
#include "gpu_batches.hpp"
#include "runtime/fake_gpu.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/kernels/fake_quantize_arguments.cuh>

#include <catch2/catch.hpp>

#include <cstddef>

using namespace opforge::test;
namespace driver = opforge::driver;
namespace kernels = opforge::kernels;
namespace oracle = opforge::test::oracle;

namespace {

const kernels::FakeQuantizeArguments& arguments_of(const FakeLaunch& launch) {
    return *static_cast<const kernels::FakeQuantizeArguments*>(launch.arguments[0]);
}

SweepCase small_case(std::uint64_t seed) {
    SweepCase of;
    of.seed = seed;
    of.element = oracle::Element::fp32;
    of.group_size = 50;
    of.settings.groups = 2;
    of.settings.bits = 4;
    of.into_output = true;
    return of;
}

}  // namespace

TEST_CASE("batches find no difference where the GPU computes what the host does", "[runtime]") {
    FakeGpu gpu;
    const driver::ScopedContext current(gpu.driver, driver::primary_context(gpu.driver, 0));
    GpuBatches batches(gpu.driver);
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        batches.add(random_case(seed, 4096));
    }
    CHECK(batches.failures() == 0);
    CHECK(gpu.kernels().size() >= 300);
}

TEST_CASE("batches find every case that the GPU leaves undone", "[runtime]") {
    FakeGpu gpu;
    const driver::ScopedContext current(gpu.driver, driver::primary_context(gpu.driver, 0));
    gpu.driver.on_launch([](const FakeLaunch&) { return 0; });
    GpuBatches batches(gpu.driver);
    for (std::uint64_t seed = 0; seed < 7; ++seed) {
        batches.add(small_case(seed));
    }
    CHECK(batches.failures() == 7);
}

TEST_CASE("batches find one byte before or behind an output, and a changed input", "[runtime]") {
    enum class Stray { before_output, behind_output, input };
    for (const Stray where : {Stray::before_output, Stray::behind_output, Stray::input}) {
        FakeGpu gpu;
        const driver::ScopedContext current(gpu.driver, driver::primary_context(gpu.driver, 0));
        gpu.driver.on_launch([where](const FakeLaunch& launch) {
            const auto& arguments = arguments_of(launch);
            auto* output = static_cast<std::byte*>(arguments.output);
            auto* input = static_cast<std::byte*>(const_cast<void*>(arguments.input));
            std::byte* const byte = where == Stray::before_output   ? output - 1
                                    : where == Stray::behind_output ? output + 400
                                                                    : input + 399;
            *byte ^= std::byte{1};
            return 0;
        });
        GpuBatches batches(gpu.driver);
        batches.add(small_case(1));
        CHECK(batches.failures() == 2);  // the output that was left undone, and the stray byte
    }
}
