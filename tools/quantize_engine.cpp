#include "quantize_engine.hpp"

#include "parallel.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/device.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/driver/stream.hpp>
#include <opforge/runtime/ds_quantizer.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>

namespace opforge::tools {
namespace {

using runtime::CallOptions;
using runtime::Device;
using runtime::Shape;
using runtime::TensorView;

template <typename Work>
double seconds_of(const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TensorView view_of(const EngineCall& call, void* data, std::size_t size_bytes, Device device) {
    const auto elements = static_cast<std::int64_t>(size_bytes / runtime::size_bytes(call.dtype));
    return {data, call.dtype, Shape{elements}, device};
}

void quantize(const EngineCall& call, const TensorView& input, const TensorView& output,
              int threads) {
    CallOptions options;
    options.output = output;
    options.threads = threads;
    if (call.stochastic) {
        options.random = call.random;
    }
    runtime::ds_quantizer(input, call.groups, call.bits, call.stochastic, call.asymmetric, options);
}

void copy_in_pieces(std::span<const std::byte> from, std::span<std::byte> into, int threads) {
    const auto pieces = static_cast<std::size_t>(thread_count(threads));
    const std::size_t piece_bytes = (from.size() + pieces - 1) / pieces;
    for_each_piece(pieces, threads, [&](std::size_t piece) {
        const std::size_t begin = std::min(piece * piece_bytes, from.size());
        const std::size_t size = std::min(piece_bytes, from.size() - begin);
        std::memcpy(into.data() + begin, from.data() + begin, size);
    });
}

class HostEngine final : public QuantizeEngine {
public:
    explicit HostEngine(int threads) : threads_(threads) {}

    EngineTimes run(const EngineCall& call, std::span<std::byte> input,
                    std::span<std::byte> output) override {
        // The first copy faults the pages in; neither the timed copies nor the op pay for that. One
        // thread may beat many on a small tensor: memory speed is the better of both.
        std::memcpy(output.data(), input.data(), input.size());
        EngineTimes times;
        times.copy_seconds = std::min(seconds_of([&] { copy_in_pieces(input, output, 1); }),
                                      seconds_of([&] { copy_in_pieces(input, output, threads_); }));
        const TensorView from = view_of(call, input.data(), input.size(), Device::cpu());
        const TensorView into = view_of(call, output.data(), output.size(), Device::cpu());
        times.op_seconds = seconds_of([&] { quantize(call, from, into, threads_); });
        return times;
    }

private:
    int threads_;
};

class DeviceEngine final : public QuantizeEngine {
public:
    explicit DeviceEngine(int ordinal)
        : api_(driver::real_driver()), ordinal_(driver::device_info(api_, ordinal).ordinal),
          scope_(api_, driver::primary_context(api_, ordinal)), start_(api_), end_(api_) {}

    EngineTimes run(const EngineCall& call, std::span<std::byte> input,
                    std::span<std::byte> output) override {
        grow(input.size());
        from_->upload(input);
        const TensorView from = view_of(call, from_->data(), input.size(), Device::cuda(ordinal_));
        const TensorView into = view_of(call, into_->data(), output.size(), Device::cuda(ordinal_));
        const auto copy = [&] {
            driver::check(
                api_,
                api_.copy_device_async(into_->address(), from_->address(), input.size(), nullptr),
                "cuMemcpyDtoDAsync");
        };
        // Once untimed: a first call loads its kernels, and perhaps compiles them.
        copy();
        quantize(call, from, into, 0);
        EngineTimes times;
        times.copy_seconds = device_seconds(copy);
        times.op_seconds = device_seconds([&] { quantize(call, from, into, 0); });
        into_->download(output);
        return times;
    }

private:
    void grow(std::size_t size_bytes) {
        if (from_ && from_->size_bytes() >= size_bytes) {
            return;
        }
        // The old ones go first: two generations at once might not fit.
        from_.reset();
        into_.reset();
        from_.emplace(api_, size_bytes);
        into_.emplace(api_, size_bytes);
    }

    template <typename Work>
    double device_seconds(const Work& work) {
        start_.record(nullptr);
        work();
        end_.record(nullptr);
        end_.synchronize();
        return std::chrono::duration<double>(end_.since(start_)).count();
    }

    const driver::DriverApi& api_;
    int ordinal_;
    driver::ScopedContext scope_;
    driver::Event start_;
    driver::Event end_;
    std::optional<driver::DeviceBuffer> from_;
    std::optional<driver::DeviceBuffer> into_;
};

}  // namespace

QuantizeEngine::~QuantizeEngine() = default;

std::unique_ptr<QuantizeEngine> make_engine(const runtime::Device& device, int threads) {
    if (device.kind == Device::Kind::cuda) {
        return std::make_unique<DeviceEngine>(device.ordinal);
    }
    return std::make_unique<HostEngine>(threads);
}

}  // namespace opforge::tools
