// Every op inside a stream capture: by the fake driver, which tells when something is loaded where
// it must not be, and on a GPU, where the graph is replayed.
#include "captured_graph.hpp"
#include "device.hpp"
#include "ops_sweep.hpp"
#include "runtime/fake_gpu.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/stream.hpp>
#include <opforge/opforge.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace opforge;
using namespace opforge::test;

namespace {

/// One case of each op of each way of launching.
std::vector<OpsCase> cases_of_every_op() {
    std::vector<OpsCase> cases;
    for (int op = 0; op < kOps; ++op) {
        for (const std::int64_t group_size : {256, 80000}) {  // beyond one block: a workspace
            OpsCase of = ops_case(static_cast<Op>(op), static_cast<std::uint64_t>(op), group_size);
            of.seed = static_cast<std::uint64_t>(op) + 1;
            cases.push_back(of);
        }
    }
    return cases;
}

ByRole<void*> host_memory(OpsTensors& tensors) {
    ByRole<void*> memory{};
    for (const Role role : kAllRoles) {
        if (tensors[role]) {
            memory[role] = tensors[role]->bytes.data();
        }
    }
    return memory;
}

/// The tensors of a case in device memory.
class DeviceTensors {
public:
    DeviceTensors(const driver::DriverApi& api, const OpsTensors& tensors) {
        for (const Role role : kAllRoles) {
            if (tensors[role]) {
                buffers_[role] =
                    std::make_unique<driver::DeviceBuffer>(api, tensors[role]->bytes.size());
                memory_[role] = buffers_[role]->data();
            }
        }
    }
    [[nodiscard]] const ByRole<void*>& memory() const { return memory_; }
    void upload(const OpsTensors& tensors) const {
        for (const Role role : kAllRoles) {
            if (tensors[role]) {
                buffers_[role]->upload(tensors[role]->bytes);
            }
        }
    }
    /// Empty where what the op writes is as in `expected`.
    [[nodiscard]] std::string mismatch(const OpsCase& of, const OpsTensors& expected) const {
        for (const Role role : kAllRoles) {
            if (expected[role] && expected[role]->written) {
                Bytes actual(expected[role]->bytes.size());
                buffers_[role]->download(actual);
                std::string text =
                    test::mismatch(of, role, expected[role]->dtype, expected[role]->bytes, actual);
                if (!text.empty()) {
                    return text;
                }
            }
        }
        return {};
    }

private:
    ByRole<std::unique_ptr<driver::DeviceBuffer>> buffers_;
    ByRole<void*> memory_{};
};

std::vector<float> ramp(std::size_t count) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        values[i] = static_cast<float>(static_cast<int>(i * 37 % 251)) * 0.013F - 1.6F;
    }
    return values;
}

TensorView view(void* data, std::size_t count, Device device) {
    return {data, Dtype::float32, {static_cast<std::int64_t>(count)}, device};
}

std::vector<float> on_host(std::vector<float> values, std::int64_t groups, bool stochastic,
                           RandomState random) {
    CallOptions options;
    options.random = random;
    ds_quantizer(view(values.data(), values.size(), Device::cpu()), groups, 8, stochastic, false,
                 options);
    return values;
}

/// float32 values on the GPU, uploaded anew before each use.
class DeviceValues {
public:
    DeviceValues(const driver::DriverApi& api, const std::vector<float>& values)
        : values_(&values), buffer_(api, values.size() * sizeof(float)) {
        upload();
    }
    void upload() const { buffer_.upload(std::as_bytes(std::span(*values_))); }
    [[nodiscard]] TensorView tensor() const {
        return view(buffer_.data(), values_->size(), Device::cuda(0));
    }
    [[nodiscard]] std::vector<float> download() const {
        std::vector<float> result(values_->size());
        buffer_.download(std::as_writable_bytes(std::span(result)));
        return result;
    }

private:
    const std::vector<float>* values_;
    driver::DeviceBuffer buffer_;
};

}  // namespace

TEST_CASE("the first use of any op inside a capture names warm_up and loads nothing", "[runtime]") {
    for (const OpsCase& of : cases_of_every_op()) {
        FakeGpu gpu;
        OpsTensors tensors = make_tensors(of);
        const OpsCall call = make_call(of, tensors, host_memory(tensors), Device::cuda(0));
        INFO(describe(of));
        gpu.driver.set_capture_status(nullptr, 1);
        CHECK_THROWS_AS(run(call), DriverError);
        CHECK_THROWS_WITH(run(call), Catch::Contains("warm_up()"));
        CHECK(gpu.compiler->compiles() == 0);
        CHECK(gpu.driver.launches().empty());
        CHECK(gpu.driver.context_stack().empty());
    }
}

TEST_CASE("after a first use every op is captured, with a workspace of the stream's", "[runtime]") {
    FakeGpu gpu;
    for (const OpsCase& of : cases_of_every_op()) {
        const OpsTensors before = make_tensors(of);
        OpsTensors tensors = before;
        const OpsCall call = make_call(of, tensors, host_memory(tensors), Device::cuda(0));
        INFO(describe(of));
        gpu.driver.set_capture_status(nullptr, 0);
        run(call);
        for (const Role role : kAllRoles) {
            if (tensors[role]) {
                std::copy(before[role]->bytes.begin(), before[role]->bytes.end(),
                          tensors[role]->bytes.begin());
            }
        }
        gpu.driver.set_capture_status(nullptr, 1);
        gpu.driver.forget_calls();
        run(call);
        const OpsTensors expected = expected_tensors(of, before);
        for (const Role role : kAllRoles) {
            if (tensors[role] && tensors[role]->written) {
                CHECK(mismatch(of, role, tensors[role]->dtype, expected[role]->bytes,
                               tensors[role]->bytes)
                          .empty());
            }
        }
        // What a capture does not allow.
        for (const char* forbidden : {"memory_allocate", "memory_free", "stream_synchronize",
                                      "context_synchronize", "library_load"}) {
            CAPTURE(forbidden);
            CHECK(gpu.driver.count(forbidden) == 0);
        }
    }
}

TEST_CASE("every op leaves the caller's context as it was, also after an error", "[runtime]") {
    for (const OpsCase& of : cases_of_every_op()) {
        FakeGpu gpu({FakeDevice{}, FakeDevice{}});
        OpsTensors tensors = make_tensors(of);
        const OpsCall call = make_call(of, tensors, host_memory(tensors), Device::cuda(1));
        INFO(describe(of));
        driver::ContextHandle own = nullptr;
        REQUIRE(gpu.driver.context_create(&own, 0) == 0);  // of the other device
        const std::vector<driver::ContextHandle> stack{own};
        run(call);
        CHECK(gpu.driver.context_stack() == stack);
        gpu.driver.fail("launch", 719);
        CHECK_THROWS_AS(run(call), DriverError);
        CHECK(gpu.driver.context_stack() == stack);
        CHECK(gpu.driver.launches().back().current == driver::primary_context(gpu.driver, 1));
        gpu.driver.context_destroy(own);
    }
}

TEST_CASE("unlike devices get programs of their own, each on its own context", "[runtime]") {
    FakeGpu gpu({FakeDevice{.name = "new", .major = 9}, FakeDevice{.name = "old", .major = 8}});
    const std::vector<float> input = ramp(256);
    const std::vector<float> expected = on_host(input, 4, false, {});
    for (int round = 0; round < 2; ++round) {
        for (const int device : {0, 1}) {
            std::vector<float> values = input;
            ds_quantizer(view(values.data(), values.size(), Device::cuda(device)), 4);
            CHECK(values == expected);
            const auto launches = gpu.driver.launches();
            CHECK(launches.back().context == driver::primary_context(gpu.driver, device));
        }
    }
    CHECK(gpu.compiler->compiles() == 2);
    const auto launches = gpu.driver.launches();
    REQUIRE(launches.size() == 4);
    CHECK(*launches[0].code != *launches[1].code);
    CHECK(*launches[0].code == *launches[2].code);
    CHECK(*launches[1].code == *launches[3].code);
}

TEST_CASE("threads with a stream each launch on their own", "[runtime]") {
    FakeGpu gpu;
    std::atomic<int> right{0};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back([&, i] {
                const driver::ScopedContext current(gpu.driver,
                                                    driver::primary_context(gpu.driver, 0));
                const driver::Stream stream(gpu.driver);
                // Each a size of its own, by which its launch is found again.
                std::vector<float> values = ramp(64 * (static_cast<std::size_t>(i) + 1));
                const std::vector<float> expected = on_host(values, 4, false, {});
                CallOptions options;
                options.stream = stream.handle();
                ds_quantizer(view(values.data(), values.size(), Device::cuda(0)), 4, 8, false,
                             false, options);
                const auto launches = gpu.driver.launches();
                const auto own =
                    std::count_if(launches.begin(), launches.end(), [&](const FakeLaunch& launch) {
                        return launch.stream == stream.handle();
                    });
                right += values == expected && own == 1 ? 1 : 0;
            });
        }
    }
    CHECK(right == 6);
    CHECK(gpu.compiler->compiles() == 1);
}

TEST_CASE("a graph of every op gives the host's bits at each replay", "[runtime][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu) {
        return;
    }
    const driver::Stream stream(gpu->api);
    for (const OpsCase& of : cases_of_every_op()) {
        INFO(describe(of));
        const OpsTensors before = make_tensors(of);
        const OpsTensors expected = expected_tensors(of, before);
        const DeviceTensors tensors(gpu->api, before);
        OpsCall call = make_call(of, before, tensors.memory(), Device::cuda(0));
        call.options.stream = stream.handle();
        tensors.upload(before);
        run(call);  // the first use
        stream.synchronize();
        const CapturedGraph graph(stream.handle(), [&] { run(call); });
        for (int replay = 0; replay < 2; ++replay) {
            tensors.upload(before);
            graph.launch(stream.handle());
            stream.synchronize();
            CHECK(tensors.mismatch(of, expected).empty());
        }
    }
}

TEST_CASE("a graph of ds_quantizer gives the host's bits for groups of every size",
          "[runtime][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu) {
        return;
    }
    const driver::Stream stream(gpu->api);
    const std::vector<float> input = ramp(std::size_t{1} << 21U);
    const DeviceValues values(gpu->api, input);
    for (const std::int64_t groups : {32768, 2048, 128, 16, 4, 1}) {
        CAPTURE(groups);
        CallOptions options;
        options.stream = stream.handle();
        const auto call = [&] { ds_quantizer(values.tensor(), groups, 8, false, false, options); };
        call();
        stream.synchronize();
        const CapturedGraph graph(stream.handle(), call);
        const std::vector<float> expected = on_host(input, groups, false, {});
        for (int replay = 0; replay < 2; ++replay) {
            values.upload();
            graph.launch(stream.handle());
            stream.synchronize();
            CHECK(values.download() == expected);
        }
    }
}

TEST_CASE("replays take their random numbers from device memory", "[runtime][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu) {
        return;
    }
    const driver::Stream stream(gpu->api);
    const std::vector<float> input = ramp(4096);
    const DeviceValues values(gpu->api, input);
    const driver::DeviceBuffer random(gpu->api, sizeof(RandomState));
    CallOptions options;
    options.stream = stream.handle();
    options.device_random = random.address();
    const auto call = [&] { ds_quantizer(values.tensor(), 8, 8, true, false, options); };
    call();
    stream.synchronize();
    const CapturedGraph graph(stream.handle(), call);
    for (const RandomState state : {RandomState{1, 0}, RandomState{1, 4096}, RandomState{9, 4}}) {
        random.upload(std::as_bytes(std::span(&state, 1)));
        values.upload();
        graph.launch(stream.handle());
        stream.synchronize();
        CHECK(values.download() == on_host(input, 8, true, state));
    }
}

TEST_CASE("a first use inside a capture leaves the capture whole", "[runtime][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu) {
        return;
    }
    const driver::Stream stream(gpu->api);
    const std::vector<float> input = ramp(4096);
    const DeviceValues values(gpu->api, input);
    CallOptions options;
    options.stream = stream.handle();
    const auto call = [&] { ds_quantizer(values.tensor(), 8, 8, false, false, options); };
    CHECK_THROWS_WITH(CapturedGraph(stream.handle(), call), Catch::Contains("warm_up()"));

    CHECK(warm_up({.programs = {"ds_quantize_fp32"}, .devices = {0}, .stop = {}, .progress = {}}) >
          0);
    const CapturedGraph graph(stream.handle(), call);
    graph.launch(stream.handle());
    stream.synchronize();
    CHECK(values.download() == on_host(input, 8, false, {}));
}

TEST_CASE("threads with a stream each get the host's bits, their first use at once",
          "[runtime][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu) {
        return;
    }
    std::atomic<int> right{0};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&, i] {
                const driver::ScopedContext current(gpu->api, driver::primary_context(gpu->api, 0));
                const driver::Stream stream(gpu->api);
                // Small groups, and one for all, which takes a workspace.
                const std::int64_t groups = i % 2 == 0 ? 64 : 1;
                const std::vector<float> input =
                    ramp((std::size_t{1} << 18U) + static_cast<std::size_t>(i) * 64);
                const std::vector<float> expected = on_host(input, groups, false, {});
                const DeviceValues values(gpu->api, input);
                CallOptions options;
                options.stream = stream.handle();
                bool same = true;
                for (int round = 0; round < 20; ++round) {
                    values.upload();
                    ds_quantizer(values.tensor(), groups, 8, false, false, options);
                    stream.synchronize();
                    same = same && values.download() == expected;
                }
                right += same ? 1 : 0;
            });
        }
    }
    CHECK(right == 8);
}

TEST_CASE("a stream of a context that is not primary works whichever is current",
          "[runtime][gpu]") {
    const auto gpu = first_gpu();  // the primary one is current
    if (!gpu) {
        return;
    }
    driver::ContextHandle own = nullptr;
    REQUIRE(gpu->api.context_create(&own, 0) == 0);
    {
        // Large enough for a workspace as well.
        const std::vector<float> input = ramp(std::size_t{1} << 20U);
        const driver::Stream stream(gpu->api);
        const DeviceValues values(gpu->api, input);
        CallOptions options;
        options.stream = stream.handle();
        const auto quantize_under = [&](driver::ContextHandle current, std::int64_t groups) {
            values.upload();
            {
                const driver::ScopedContext scope(gpu->api, current);
                ds_quantizer(values.tensor(), groups, 8, false, false, options);
                CHECK(driver::current_context(gpu->api) == current);
            }
            stream.synchronize();
            CHECK(values.download() == on_host(input, groups, false, {}));
        };
        for (const std::int64_t groups : {8192, 1}) {
            quantize_under(own, groups);
            quantize_under(driver::primary_context(gpu->api, 0), groups);
        }
    }
    CHECK(gpu->api.context_destroy(own) == 0);
}
