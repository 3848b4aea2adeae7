// Calls that are launched as an earlier one of the thread's was.
#include "runtime/fake_gpu.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/opforge.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace opforge;
using opforge::test::FakeDevice;
using opforge::test::FakeGpu;

namespace {

constexpr std::size_t kValues = 1 << 18;

// A GPU whose primary context is current, as it is in nearly every host.
struct CurrentGpu {
    explicit CurrentGpu(std::vector<FakeDevice> devices = {FakeDevice{}})
        : gpu(std::move(devices)), current(gpu.driver, driver::primary_context(gpu.driver, 0)) {}
    FakeGpu gpu;
    driver::ScopedContext current;
};

struct Memory {
    std::vector<std::uint16_t> from = std::vector<std::uint16_t>(kValues);
    std::vector<std::uint16_t> to = std::vector<std::uint16_t>(kValues);
    explicit Memory(unsigned seed) {
        std::minstd_rand random(seed);
        for (std::uint16_t& value : from) {
            value = static_cast<std::uint16_t>(random() & 0xb7ffU);  // finite
        }
    }
};

struct AnyCall {
    std::int64_t groups = 1;
    std::int64_t group_size = 64;
    Dtype dtype = Dtype::float16;
    int bits = 8;
    bool stochastic = false;
    bool asymmetric = false;
    bool in_place = false;
    std::size_t skew = 0;  // values of 2 bytes before the first
    RandomState random;

    TensorView make(Memory& memory, Device device) const {
        const TensorView input{memory.from.data() + skew, dtype, {groups, group_size}, device};
        CallOptions options;
        options.random = random;
        if (!in_place) {
            options.output = input;
            options.output->data = memory.to.data() + skew;
        }
        return ds_quantizer(input, groups, bits, stochastic, asymmetric, options);
    }
};

AnyCall any_call(std::minstd_rand& random) {
    const auto pick = [&](std::uint32_t below) {
        return static_cast<std::uint32_t>(random()) % below;
    };
    AnyCall call;
    constexpr std::int64_t kSizes[] = {16, 100, 128, 4096, 16384, 65536};
    call.group_size = kSizes[pick(6)];
    call.groups = call.group_size > 4096 ? 1 : 1 + pick(3);
    call.dtype = pick(2) == 0 ? Dtype::float16 : Dtype::bfloat16;
    call.bits = pick(2) == 0 ? 8 : 4;
    call.stochastic = pick(2) == 0;
    call.asymmetric = pick(2) == 0;
    call.in_place = pick(2) == 0;
    call.skew = pick(3) == 0 ? 1 : 8 * pick(3);
    call.random = {pick(2), 4 * pick(1000)};
    return call;
}

}  // namespace

TEST_CASE("any sequence of calls gives the host's bits, launched as by a thread without a past",
          "[runtime]") {
    CurrentGpu on;
    FakeGpu& gpu = on.gpu;
    std::minstd_rand random(20261125);
    for (int i = 0; i < 3000; ++i) {
        CAPTURE(i);
        const AnyCall call = any_call(random);
        const auto seed = static_cast<unsigned>(random());
        Memory expected(seed);
        Memory actual(seed);
        call.make(expected, Device::cpu());
        call.make(actual, Device::cuda(0));
        REQUIRE(actual.from == expected.from);
        REQUIRE(actual.to == expected.to);

        const test::FakeLaunch again = gpu.driver.launches().back();
        if (i % 10 == 0) {
            std::thread([&] {
                const driver::ScopedContext current(gpu.driver,
                                                    driver::primary_context(gpu.driver, 0));
                Memory anew(seed);
                call.make(anew, Device::cuda(0));
            }).join();
            const test::FakeLaunch first = gpu.driver.launches().back();
            REQUIRE(first.kernel == again.kernel);
            REQUIRE(first.config.grid_x == again.config.grid_x);
            REQUIRE(first.config.block_x == again.config.block_x);
            REQUIRE(first.config.cluster_x == again.config.cluster_x);
            REQUIRE(first.config.shared_bytes == again.config.shared_bytes);
        }
    }
}

TEST_CASE("a repeated call asks which context is current, and of several devices no more",
          "[runtime]") {
    CurrentGpu on({FakeDevice{}, FakeDevice{}});
    Memory memory(1);
    const AnyCall call;
    call.make(memory, Device::cuda(0));
    on.gpu.driver.forget_calls();
    call.make(memory, Device::cuda(0));
    CHECK(on.gpu.driver.count("context_get_current") == 1);
    CHECK(on.gpu.driver.count("context_get_device") == 0);
    CHECK(on.gpu.driver.count() == 2);
}

TEST_CASE("what was fine with other addresses is checked again", "[runtime]") {
    CurrentGpu on({FakeDevice{}, FakeDevice{}});
    Memory memory(1);
    const TensorView good{memory.from.data(), Dtype::float16, {4, 64}, Device::cuda(0)};
    CallOptions elsewhere;
    elsewhere.output = good;
    elsewhere.output->data = memory.to.data();
    const auto call = [](const TensorView& input, const CallOptions& options) {
        return ds_quantizer(input, 4, 8, false, false, options);
    };
    call(good, {});
    call(good, elsewhere);
    const std::size_t launches = on.gpu.driver.launches().size();

    TensorView input = good;
    CallOptions options;
    SECTION("a null pointer") {
        input.data = nullptr;
    }
    SECTION("a null output") {
        options = elsewhere;
        options.output->data = nullptr;
    }
    SECTION("an address between two elements") {
        input.data = reinterpret_cast<std::byte*>(memory.from.data()) + 1;
    }
    SECTION("the end of the address space") {
        input.data = reinterpret_cast<void*>(~std::uintptr_t{0} - 15);
    }
    SECTION("a tensor that is read-only") {
        input.read_only = true;
    }
    SECTION("an output that is read-only") {
        options = elsewhere;
        options.output->read_only = true;
    }
    SECTION("an overlap") {
        options = elsewhere;
        options.output->data = memory.from.data() + 8;
    }
    SECTION("an output of another dtype") {
        options = elsewhere;
        options.output->dtype = Dtype::bfloat16;
    }
    SECTION("an output of another size") {
        options = elsewhere;
        options.output->shape = {4, 65};
    }
    SECTION("an output of another device") {
        options = elsewhere;
        options.output->device = Device::cuda(1);
    }
    SECTION("a number of threads below zero") {
        options.threads = -1;
    }
    CHECK_THROWS_AS(call(input, options), InvalidArgument);
    CHECK(on.gpu.driver.launches().size() == launches);
}

TEST_CASE("a read-only input may be repeated into another tensor", "[runtime]") {
    CurrentGpu on;
    Memory memory(1);
    TensorView input{memory.from.data(), Dtype::float16, {4, 64}, Device::cuda(0)};
    input.read_only = true;
    CallOptions options;
    options.output = input;
    options.output->data = memory.to.data();
    options.output->read_only = false;
    for (int i = 0; i < 2; ++i) {
        CHECK(ds_quantizer(input, 4, 8, false, false, options).data == memory.to.data());
    }
    CHECK(on.gpu.driver.launches().size() == 2);
}

TEST_CASE("calls are forgotten with the modules that they were launched from", "[runtime]") {
    Memory memory(1);
    const AnyCall call;
    {
        CurrentGpu on;
        call.make(memory, Device::cuda(0));
        runtime::shutdown();
        call.make(memory, Device::cuda(0));
        CHECK(on.gpu.driver.count("library_load") == 2);
    }
    CurrentGpu other;
    call.make(memory, Device::cuda(0));
    CHECK(other.gpu.driver.launches().size() == 1);
}

TEST_CASE("a repeated launch that fails is tried the whole way, and then told", "[runtime]") {
    CurrentGpu on;
    Memory memory(1);
    const AnyCall call;
    call.make(memory, Device::cuda(0));
    on.gpu.driver.fail("launch", 719, 1, 2);
    CHECK_THROWS_AS(call.make(memory, Device::cuda(0)), DriverError);
    CHECK_NOTHROW(call.make(memory, Device::cuda(0)));
}
