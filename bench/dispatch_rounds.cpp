#include "dispatch_rounds.hpp"
#include "raw_cuda.hpp"

#include "support/fake_compiler.hpp"
#include "support/instant_driver.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/stream.hpp>
#include <opforge/opforge.hpp>
#include <opforge/runtime/quantizer_module.hpp>

#include <cuda.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>

namespace opforge::bench {
namespace {

using Clock = std::chrono::steady_clock;

template <class Act>
double nanoseconds_each(int times, Act act) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < times; ++i) {
        act();
    }
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / times;
}

/// `settle` runs after each batch, outside of the time.
template <class Call, class Launch, class Settle>
DispatchRounds take_turns(const DispatchSettings& settings, Call call, Launch launch,
                          Settle settle) {
    DispatchRounds rounds;
    constexpr int kWarmUps = 3;
    for (int round = -kWarmUps; round < settings.rounds; ++round) {
        double ours = 0;
        double raw = 0;
        // Who goes first changes: the first one of a round may find other clocks than the second.
        for (const bool first : {true, false}) {
            if (first == (round % 2 == 0)) {
                ours = nanoseconds_each(settings.batch, call);
            } else {
                raw = nanoseconds_each(settings.batch, launch);
            }
            settle();
        }
        if (round >= 0) {
            rounds.call.push_back(ours);
            rounds.launch.push_back(raw);
            rounds.difference.push_back(ours - raw);
        }
    }
    return rounds;
}

/// A call with everything that it is given, made once: its cost is not the caller's packing.
struct PreparedCall {
    TensorView input;
    std::int64_t groups;
    bool stochastic;
    bool asymmetric;
    CallOptions options;

    PreparedCall(const DispatchCall& call, void* from, void* to, driver::StreamHandle stream)
        : input{from, call.dtype, {call.elements}, Device::cuda(0)}, groups(call.groups),
          stochastic(call.stochastic), asymmetric(call.asymmetric) {
        options.stream = call.own_stream ? stream : nullptr;
        if (!call.in_place) {
            options.output = TensorView{to, call.dtype, {call.elements}, Device::cuda(0)};
        }
    }
    void operator()() const { ds_quantizer(input, groups, 8, stochastic, asymmetric, options); }
};

constexpr std::size_t kMostBytes = std::size_t{1} << 20U;

/// The one kernel launch of a captured call, as the driver wrote it down, and cuLaunchKernel, or
/// cuLaunchKernelEx where the launch is one of clusters, which the former cannot make.
class CapturedLaunch {
public:
    CapturedLaunch(const PreparedCall& call, CUstream stream) : cuda_("libcuda.so.1") {
        require(cuda_.function<decltype(&cuStreamBeginCapture)>("cuStreamBeginCapture_v2")(
                    stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                "cuStreamBeginCapture");
        PreparedCall captured = call;
        captured.options.stream = stream;
        captured();
        require(
            cuda_.function<decltype(&cuStreamEndCapture)>("cuStreamEndCapture")(stream, &graph_),
            "cuStreamEndCapture");
        const auto get_nodes = cuda_.function<decltype(&cuGraphGetNodes)>("cuGraphGetNodes");
        std::size_t nodes = 0;
        require(get_nodes(graph_, nullptr, &nodes), "cuGraphGetNodes");
        if (nodes != 1) {
            throw std::runtime_error(
                fmt::format("the call made {} nodes where one launch was expected", nodes));
        }
        CUgraphNode node = nullptr;
        require(get_nodes(graph_, &node, &nodes), "cuGraphGetNodes");
        require(cuda_.function<decltype(&cuGraphKernelNodeGetParams)>(
                    "cuGraphKernelNodeGetParams_v2")(node, &params_),
                "cuGraphKernelNodeGetParams");
        function_ =
            params_.func != nullptr ? params_.func : reinterpret_cast<CUfunction>(params_.kern);
        stream_ = call.options.stream;
        launch_ = cuda_.function<decltype(&cuLaunchKernel)>("cuLaunchKernel");
        cluster_.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        // A device without clusters need not know the attribute.
        const auto get_attribute = cuda_.function<decltype(&cuGraphKernelNodeGetAttribute)>(
            "cuGraphKernelNodeGetAttribute");
        if (get_attribute(node, cluster_.id, &cluster_.value) == CUDA_SUCCESS &&
            cluster_.value.clusterDim.x > 1) {
            launch_clusters_ = cuda_.function<decltype(&cuLaunchKernelEx)>("cuLaunchKernelEx");
            config_ = {.gridDimX = params_.gridDimX,
                       .gridDimY = params_.gridDimY,
                       .gridDimZ = params_.gridDimZ,
                       .blockDimX = params_.blockDimX,
                       .blockDimY = params_.blockDimY,
                       .blockDimZ = params_.blockDimZ,
                       .sharedMemBytes = params_.sharedMemBytes,
                       .hStream = stream_,
                       .attrs = &cluster_,
                       .numAttrs = 1};
        }
    }
    CapturedLaunch(const CapturedLaunch&) = delete;
    CapturedLaunch& operator=(const CapturedLaunch&) = delete;
    ~CapturedLaunch() { cuda_.function<decltype(&cuGraphDestroy)>("cuGraphDestroy")(graph_); }
    void operator()() const {
        if (launch_clusters_ != nullptr) {
            require(launch_clusters_(&config_, function_, params_.kernelParams, nullptr),
                    "cuLaunchKernelEx");
            return;
        }
        require(launch_(function_, params_.gridDimX, params_.gridDimY, params_.gridDimZ,
                        params_.blockDimX, params_.blockDimY, params_.blockDimZ,
                        params_.sharedMemBytes, stream_, params_.kernelParams, nullptr),
                "cuLaunchKernel");
    }
    void settle() const {
        require(cuda_.function<CUresult (*)()>("cuCtxSynchronize")(), "cuCtxSynchronize");
    }

private:
    RawLibrary cuda_;
    CUgraph graph_ = nullptr;
    CUDA_KERNEL_NODE_PARAMS params_{};
    CUfunction function_ = nullptr;
    CUstream stream_ = nullptr;
    decltype(&cuLaunchKernel) launch_ = nullptr;
    CUlaunchAttribute cluster_{};
    CUlaunchConfig config_{};
    decltype(&cuLaunchKernelEx) launch_clusters_ = nullptr;
};

/// The process's quantizer on a driver of ours, for a scope.
class InstantQuantizer {
public:
    explicit InstantQuantizer(const driver::DriverApi& api) {
        runtime::configure_quantizer({.cache = std::make_shared<cache::Cache>(cache::CacheOptions{
                                          .directory = {}, .memory_only = true}),
                                      .compiler = std::make_shared<test::FakeCompiler>(),
                                      .driver = &api,
                                      .driver_version = 13000,
                                      .policy = cache::Policy::exact});
    }
    InstantQuantizer(const InstantQuantizer&) = delete;
    InstantQuantizer& operator=(const InstantQuantizer&) = delete;
    ~InstantQuantizer() { runtime::configure_quantizer({}); }
};

}  // namespace

std::pair<double, double> DispatchRounds::quartiles() const {
    std::vector<double> sorted = difference;
    std::sort(sorted.begin(), sorted.end());
    return {sorted.at(sorted.size() / 4), sorted.at(sorted.size() * 3 / 4)};
}

DispatchRounds measure_on_gpu(const DispatchCall& call, const DispatchSettings& settings) {
    const driver::DriverApi& api = driver::real_driver();
    const driver::ScopedContext current(api, driver::primary_context(api, 0));
    const driver::DeviceBuffer from(api, kMostBytes);
    const driver::DeviceBuffer to(api, kMostBytes);
    const driver::Stream stream(api);
    const PreparedCall ours(call, from.data(), to.data(), stream.handle());
    ours();  // the first use
    stream.synchronize();
    const CapturedLaunch raw(ours, stream.handle());
    return take_turns(
        settings, ours, [&] { raw(); }, [&] { raw.settle(); });
}

DispatchRounds measure_on_fake(const DispatchCall& call, const DispatchSettings& settings) {
    test::InstantDriver api;
    const InstantQuantizer quantizer(api);
    const driver::ScopedContext current(api, driver::primary_context(api, 0));
    std::vector<std::byte> from(kMostBytes);
    std::vector<std::byte> to(kMostBytes);
    driver::StreamHandle stream = nullptr;
    require(api.stream_create(&stream, 0), "stream_create");
    const PreparedCall ours(call, from.data(), to.data(), stream);
    ours();  // the first use
    const test::FakeLaunch launch = api.launches().back();
    api.hurry(0);
    const driver::DriverApi& table = api;
    return take_turns(
        settings, ours, [&] { require(table.launch(nullptr, launch.config, stream, nullptr), ""); },
        [] {});
}

}  // namespace opforge::bench
