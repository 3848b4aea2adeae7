#include "runtime/fake_gpu.hpp"

#include <opforge/builder/errors.hpp>
#include <opforge/driver/context.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/opforge.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <bit>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

using namespace opforge;
using opforge::test::FakeDevice;
using opforge::test::FakeGpu;
using opforge::test::FakeOutstanding;
using Strings = std::vector<std::string>;

namespace {

std::vector<float> ramp(std::size_t count) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        values[i] = static_cast<float>(static_cast<int>(i * 37 % 251)) * 0.013F - 1.6F;
    }
    return values;
}

TensorView view(std::vector<float>& values, Device device) {
    return {values.data(), Dtype::float32, {static_cast<std::int64_t>(values.size())}, device};
}

std::vector<float> on_host(std::vector<float> values, std::int64_t groups, int bits, bool sr,
                           bool asym, const CallOptions& options = {}) {
    ds_quantizer(view(values, Device::cpu()), groups, bits, sr, asym, options);
    return values;
}

// Codes of eight bits, symmetric, and their records.
std::pair<std::vector<std::uint8_t>, std::vector<float>>
codes_on(Device device, std::vector<float>& values, std::int64_t groups) {
    std::vector<std::uint8_t> codes(values.size());
    std::vector<float> params(static_cast<std::size_t>(groups));
    OpOptions options;
    options.output =
        TensorView{codes.data(), Dtype::int8, {static_cast<std::int64_t>(codes.size())}, device};
    options.params = view(params, device);
    quantize(view(values, device), groups, 8, QuantizationType::symmetric, options);
    CHECK(params[0] != 0.0F);
    return {codes, params};
}

}  // namespace

TEST_CASE("every kernel of the plan gets the arguments that give the host's bits", "[runtime]") {
    FakeGpu gpu;
    struct Case {
        std::size_t elements;
        std::int64_t groups;
        std::uint64_t offset;
        Strings kernels;
    };
    // Kernels for aligned tensors draw whole counters with one upper word.
    for (const Case& c :
         {Case{4096, 64, 8, {"ds_sr_quantize_asym_fp32_groups"}},
          Case{8192, 8, 8, {"ds_sr_quantize_asym_fp32_block"}},
          Case{65536, 8, 8, {"ds_sr_quantize_asym_fp32_few"}},
          Case{1605632, 98, 8, {"ds_sr_quantize_asym_fp32_block"}},
          Case{2228224, 68, 8, {"ds_sr_quantize_asym_fp32_cluster"}},
          Case{4096, 64, 5, {"ds_sr_quantize_asym_fp32_any"}},
          Case{8192, 8, (std::uint64_t{1} << 34U) - 8, {"ds_sr_quantize_asym_fp32_any"}},
          Case{8192, 8, std::uint64_t{1} << 34U, {"ds_sr_quantize_asym_fp32_block"}},
          Case{262144,
               2,
               5,
               {"ds_sr_quantize_asym_fp32_range", "ds_sr_quantize_asym_fp32_apply"}}}) {
        CAPTURE(c.elements);
        std::vector<float> values = ramp(c.elements);
        const CallOptions options{.stream = nullptr,
                                  .output = {},
                                  .random = RandomState{7, c.offset},
                                  .device_random = 0,
                                  .threads = 0};
        const std::vector<float> expected = on_host(values, c.groups, 5, true, true, options);
        const std::size_t before = gpu.kernels().size();
        ds_quantizer(view(values, Device::cuda(0)), c.groups, 5, true, true, options);
        const Strings all = gpu.kernels();
        CHECK(Strings(all.begin() + static_cast<std::ptrdiff_t>(before), all.end()) == c.kernels);
        CHECK(values == expected);
    }
    CHECK(gpu.driver.outstanding().allocations == 0);
}

TEST_CASE("dtype and flags choose the program, and the first use compiles that one alone",
          "[runtime]") {
    FakeGpu gpu;
    std::vector<std::uint16_t> halves(64, 0x3c00);
    const TensorView fp16{halves.data(), Dtype::float16, {64}, Device::cuda(0)};
    const TensorView bf16{halves.data(), Dtype::bfloat16, {64}, Device::cuda(0)};
    ds_quantizer(fp16);
    CHECK(gpu.compiler->compiles() == 1);
    ds_quantizer(fp16, 2, 4);
    CHECK(gpu.compiler->compiles() == 1);
    ds_quantizer(bf16, 1, 8, false, true);
    runtime::ds_sr_quantize_fp16(fp16, 4, 8);
    CHECK(gpu.compiler->compiles() == 3);
    CHECK(gpu.kernels() == Strings{"ds_quantize_fp16_groups", "ds_quantize_fp16_groups",
                                   "ds_quantize_asym_bf16_groups", "ds_sr_quantize_fp16_groups"});
}

TEST_CASE("many threads' first call compiles once", "[runtime]") {
    FakeGpu gpu;
    gpu.compiler->set_delay(std::chrono::milliseconds(20));
    std::atomic<int> right{0};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] {
                std::vector<float> values = ramp(256);
                const std::vector<float> expected = on_host(values, 4, 8, false, false);
                ds_quantizer(view(values, Device::cuda(0)), 4);
                right += values == expected ? 1 : 0;
            });
        }
    }
    CHECK(right == 8);
    CHECK(gpu.compiler->compiles() == 1);
    CHECK(gpu.driver.count("library_load") == 1);
}

TEST_CASE("the caller's current context is the same after a call", "[runtime]") {
    FakeGpu gpu({FakeDevice{}, FakeDevice{}});
    std::vector<float> values = ramp(64);

    SECTION("none is current: the primary one serves and goes") {
        ds_quantizer(view(values, Device::cuda(1)));
        CHECK(gpu.driver.context_stack().empty());
        CHECK(gpu.driver.launches().back().current == driver::primary_context(gpu.driver, 1));
    }
    SECTION("one that is not primary is used as it is") {
        driver::ContextHandle own = nullptr;
        REQUIRE(gpu.driver.context_create(&own, 0) == 0);
        ds_quantizer(view(values, Device::cuda(0)));
        CHECK(gpu.driver.launches().back().current == own);
        CHECK(gpu.driver.context_stack() == std::vector<driver::ContextHandle>{own});
        gpu.driver.context_destroy(own);
    }
    SECTION("a stream brings its own context") {
        driver::ContextHandle own = nullptr;
        REQUIRE(gpu.driver.context_create(&own, 1) == 0);
        driver::StreamHandle stream = nullptr;
        REQUIRE(gpu.driver.stream_create(&stream, 0) == 0);
        driver::ContextHandle popped = nullptr;
        REQUIRE(gpu.driver.context_pop(&popped) == 0);
        CallOptions options;
        options.stream = stream;
        ds_quantizer(view(values, Device::cuda(1)), 1, 8, false, false, options);
        CHECK(gpu.driver.launches().back().current == own);
        CHECK(gpu.driver.launches().back().stream == stream);
        CHECK(gpu.driver.context_stack().empty());
        gpu.driver.stream_destroy(stream);
        gpu.driver.context_destroy(own);
    }
    SECTION("another device's context gives way to the tensor's for the length of the call") {
        driver::ContextHandle own = nullptr;
        REQUIRE(gpu.driver.context_create(&own, 0) == 0);
        ds_quantizer(view(values, Device::cuda(1)));
        CHECK(gpu.driver.launches().back().current == driver::primary_context(gpu.driver, 1));
        CHECK(gpu.driver.context_stack() == std::vector<driver::ContextHandle>{own});
        gpu.driver.context_destroy(own);
    }
    SECTION("also after a launch that failed") {
        gpu.driver.fail("launch", 719);
        CHECK_THROWS_AS(ds_quantizer(view(values, Device::cuda(1))), DriverError);
        CHECK(gpu.driver.context_stack().empty());
    }
}

TEST_CASE("kernels are launched as functions of the primary context, and nowhere else",
          "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(64);
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(gpu.driver.launches().back().of_function);
    driver::ContextHandle own = nullptr;
    REQUIRE(gpu.driver.context_create(&own, 0) == 0);
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK_FALSE(gpu.driver.launches().back().of_function);
    gpu.driver.context_destroy(own);
}

TEST_CASE("a stream of another device is refused before anything is launched", "[runtime]") {
    FakeGpu gpu({FakeDevice{}, FakeDevice{}});
    driver::ContextHandle own = nullptr;
    REQUIRE(gpu.driver.context_create(&own, 1) == 0);
    driver::StreamHandle stream = nullptr;
    REQUIRE(gpu.driver.stream_create(&stream, 0) == 0);
    std::vector<float> values = ramp(64);
    const std::vector<float> before = values;
    CallOptions options;
    options.stream = stream;
    CHECK_THROWS_WITH(ds_quantizer(view(values, Device::cuda(0)), 1, 8, false, false, options),
                      Catch::Contains("cuda:0") && Catch::Contains("stream"));
    CHECK(gpu.driver.launches().empty());
    CHECK(gpu.compiler->compiles() == 0);
    CHECK(values == before);
    CHECK(gpu.driver.context_stack() == std::vector<driver::ContextHandle>{own});
    gpu.driver.stream_destroy(stream);
    gpu.driver.context_destroy(own);
}

TEST_CASE("bad arguments for a device tensor reach neither compiler nor driver", "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(64);
    TensorView tensor = view(values, Device::cuda(0));
    CHECK_THROWS_AS(ds_quantizer(tensor, 0), InvalidArgument);
    CHECK_THROWS_AS(ds_quantizer(tensor, 7), InvalidArgument);
    CHECK_THROWS_AS(ds_quantizer(tensor, 1, 17), InvalidArgument);
    tensor.dtype = Dtype::int32;
    CHECK_THROWS_AS(ds_quantizer(tensor), UnsupportedDtype);
    tensor = view(values, Device::cuda(0));
    tensor.data = nullptr;
    CHECK_THROWS_AS(ds_quantizer(tensor), InvalidArgument);
    CHECK(gpu.driver.launches().empty());
    CHECK(gpu.compiler->compiles() == 0);
}

TEST_CASE("a device that is not there is named with the number of those that are", "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(64);
    CHECK_THROWS_AS(ds_quantizer(view(values, Device::cuda(1))), NoDevice);
    CHECK_THROWS_AS(ds_quantizer(view(values, Device::cuda(-1))), NoDevice);
    CHECK_THROWS_AS(ds_quantizer(view(values, Device::cuda(1000))), NoDevice);
    CHECK_THROWS_WITH(ds_quantizer(view(values, Device::cuda(3))), Catch::Contains("cuda:3"));
}

TEST_CASE("a first use inside a capture names warm_up, and works after it", "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(64);
    const std::vector<float> expected = on_host(values, 1, 8, false, false);
    gpu.driver.set_capture_status(nullptr, 1);
    CHECK_THROWS_AS(ds_quantizer(view(values, Device::cuda(0))), DriverError);
    CHECK_THROWS_WITH(ds_quantizer(view(values, Device::cuda(0))), Catch::Contains("warm_up()"));
    CHECK(gpu.compiler->compiles() == 0);

    CHECK(warm_up({.programs = {"ds_quantize_fp32_groups"},
                   .devices = {0},
                   .stop = {},
                   .progress = {}}) == 1);
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(values == expected);
}

TEST_CASE("a failed compile reaches the caller, and the next call tries again", "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(64);
    gpu.compiler->fail("ds_quantize_fp32_groups", "fake_quantize.cu(3): error: no");
    CHECK_THROWS_AS(ds_quantizer(view(values, Device::cuda(0))), CompileError);
    CHECK(gpu.driver.launches().empty());
    gpu.compiler->fail("ds_quantize_fp32_groups", "");
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(gpu.driver.launches().size() == 1);
}

TEST_CASE("without any NVRTC and without an entry the error says so", "[runtime]") {
    FakeGpu gpu;
    gpu.compiler->set_toolchain(std::nullopt);
    std::vector<float> values = ramp(64);
    CHECK_THROWS_AS(ds_quantizer(view(values, Device::cuda(0))), ToolchainNotFound);
}

TEST_CASE("where a cluster is refused, two launches do the same", "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(65536);
    const std::vector<float> expected = on_host(values, 1, 8, false, false);
    gpu.driver.fail("launch", 912);  // CUDA_ERROR_INVALID_CLUSTER_SIZE
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(gpu.kernels() == Strings{"ds_quantize_fp32_range", "ds_quantize_fp32_apply"});
    CHECK(values == expected);
}

TEST_CASE("a cluster's launch has as many clusters as the device holds at once", "[runtime]") {
    FakeGpu gpu;
    constexpr std::size_t kGroups = 40;
    std::vector<float> values = ramp(kGroups * 65536);
    const std::vector<float> expected = on_host(values, kGroups, 8, false, false);
    std::vector<float> found = values;
    gpu.driver.set_occupancy_clusters(7);
    ds_quantizer(view(found, Device::cuda(0)), kGroups);
    CHECK(found == expected);
    REQUIRE(gpu.kernels() == Strings{"ds_quantize_fp32_cluster"});
    const driver::LaunchConfig config = gpu.driver.launches().front().config;
    CHECK(config.grid_x == 7 * config.cluster_x);
    ds_quantizer(view(values, Device::cuda(0)), kGroups);
    CHECK(values == expected);
    CHECK(gpu.driver.count("occupancy_clusters") == 1);
}

TEST_CASE("a cluster's launch of codes has as many clusters as the device holds at once",
          "[runtime]") {
    FakeGpu gpu;
    constexpr std::size_t kGroups = 40;
    std::vector<float> values = ramp(kGroups * 65536);
    gpu.driver.set_occupancy_clusters(7);
    CHECK(codes_on(Device::cuda(0), values, kGroups) == codes_on(Device::cpu(), values, kGroups));
    REQUIRE(gpu.kernels() == Strings{"quantize_fp32_cluster"});
    const driver::LaunchConfig config = gpu.driver.launches().front().config;
    CHECK(config.grid_x == 7 * config.cluster_x);
}

TEST_CASE("a team of one block is a plain launch", "[runtime]") {
    FakeGpu gpu({FakeDevice{.attributes = {{driver::Attribute::cluster_launch, 0}}}});
    constexpr std::size_t kGroups = 300;
    std::vector<float> values = ramp(kGroups * 20000);
    const std::vector<float> expected = on_host(values, kGroups, 8, false, false);
    std::vector<float> again = values;
    ds_quantizer(view(values, Device::cuda(0)), kGroups);
    CHECK(values == expected);
    REQUIRE(gpu.kernels() == Strings{"ds_quantize_fp32_grid"});
    CHECK_FALSE(gpu.driver.launches().front().config.cooperative);
    CHECK(gpu.driver.count("memory_allocate_async") == 0);
    ds_quantizer(view(again, Device::cuda(0)), kGroups);
    CHECK(again == expected);
}

TEST_CASE("where a cluster of codes is refused, two launches do the same", "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(65536);
    const auto expected = codes_on(Device::cpu(), values, 1);
    CHECK(codes_on(Device::cuda(0), values, 1) == expected);
    CHECK(gpu.kernels() == Strings{"quantize_fp32_cluster"});
    gpu.driver.fail("launch", 912);  // CUDA_ERROR_INVALID_CLUSTER_SIZE
    CHECK(codes_on(Device::cuda(0), values, 1) == expected);
    CHECK(gpu.kernels() ==
          Strings{"quantize_fp32_cluster", "quantize_fp32_range", "quantize_fp32_apply"});
}

TEST_CASE("a cooperative launch gets the stream's board, made once, and tags of its own",
          "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(1 << 20);
    const std::vector<float> expected = on_host(values, 1, 8, false, false);
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(gpu.kernels() == Strings{"ds_quantize_fp32_grid"});
    CHECK(gpu.driver.launches().front().config.cooperative);
    CHECK(values == expected);
    const std::size_t made = gpu.driver.count("memory_allocate_async");
    CHECK(made == 1);
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(gpu.driver.count("memory_allocate_async") == made);
    CHECK(gpu.driver.count("fill_async") == 1);

    // A graph may run beside the stream it was captured on: memory of its own, zeroed.
    gpu.driver.set_capture_status(nullptr, 1);
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(gpu.driver.count("memory_allocate_async") == made + 1);
    CHECK(gpu.driver.count("memory_free_async") == 1);
    CHECK(gpu.driver.count("fill_async") == 2);
}

TEST_CASE("the workspace of a split launch is given back whatever happens", "[runtime]") {
    FakeGpu gpu({FakeDevice{.attributes = {{driver::Attribute::cluster_launch, 0},
                                           {driver::Attribute::cooperative_launch, 0}}}});
    std::vector<float> values = ramp(262144);
    SECTION("a launch fails") {
        gpu.driver.fail("launch", 700, 2);
        CHECK_THROWS_AS(ds_quantizer(view(values, Device::cuda(0))), DriverError);
    }
    SECTION("a device without memory pools waits before it frees") {
        gpu.driver.forget_calls();
        runtime::configure_quantizer({});
        FakeGpu old({FakeDevice{.name = "old",
                                .major = 7,
                                .minor = 5,
                                .memory_bytes = 1U << 30U,
                                .attributes = {{driver::Attribute::memory_pools_supported, 0},
                                               {driver::Attribute::cluster_launch, 0},
                                               {driver::Attribute::cooperative_launch, 0}}}});
        ds_quantizer(view(values, Device::cuda(0)));
        CHECK(old.driver.count("memory_allocate_async") == 0);
        CHECK(old.driver.count("stream_synchronize") == 1);
        CHECK(old.driver.outstanding().allocations == 0);
    }
    CHECK(gpu.driver.outstanding().allocations == 0);
}

TEST_CASE("a random state in device memory wins over the host's", "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(512);
    std::uint64_t state[2] = {11, 400};  // the fake's device memory is the host's
    CallOptions options;
    options.random = RandomState{state[0], state[1]};
    const std::vector<float> expected = on_host(values, 2, 3, true, false, options);
    options.random.reset();
    options.device_random = std::bit_cast<std::uintptr_t>(&state[0]);
    ds_quantizer(view(values, Device::cuda(0)), 2, 3, true, false, options);
    CHECK(values == expected);
}

TEST_CASE("warm_up loads what is named, reports each and stops when asked", "[runtime]") {
    FakeGpu gpu({FakeDevice{}, FakeDevice{}});
    SECTION("everything, on every device") {
        std::vector<std::size_t> done;
        const std::size_t programs = builder::QuantizerBuilder().programs().size();
        CHECK(
            warm_up(
                {.programs = {}, .devices = {}, .stop = {}, .progress = [&](const auto& progress) {
                     CHECK(progress.total == 2 * programs);
                     done.push_back(progress.done);
                 }}) == 2 * programs);
        CHECK(done.size() == 2 * programs);
        CHECK(gpu.compiler->compiles() == programs);  // like devices share
    }
    SECTION("stopped after the second") {
        std::stop_source stop;
        const std::size_t ready = warm_up({.programs = {},
                                           .devices = {0},
                                           .stop = stop.get_token(),
                                           .progress = [&](const auto& progress) {
                                               if (progress.done == 2) {
                                                   stop.request_stop();
                                               }
                                           }});
        CHECK(ready == 2);
    }
    SECTION("an unknown program is an error that lists the known ones") {
        CHECK_THROWS_WITH(
            warm_up({.programs = {"ds_quantize_fp8"}, .devices = {0}, .stop = {}, .progress = {}}),
            Catch::Contains("ds_quantize_fp8") && Catch::Contains("ds_quantize_fp16"));
    }
    SECTION("in the background, the exception comes with the future") {
        gpu.compiler->fail("ds_quantize_fp16_block", "no");
        auto future = runtime::warm_up_in_background(
            {.programs = {}, .devices = {0}, .stop = {}, .progress = {}});
        CHECK_THROWS_AS(future.get(), CompileError);
    }
}

TEST_CASE("shutdown unloads every kernel", "[runtime]") {
    FakeGpu gpu;
    std::vector<float> values = ramp(64);
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(gpu.driver.outstanding().libraries == 1);
    runtime::shutdown();
    CHECK(gpu.driver.outstanding() == FakeOutstanding{});
    ds_quantizer(view(values, Device::cuda(0)));
    CHECK(gpu.driver.launches().size() == 2);
}
