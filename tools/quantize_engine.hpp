// Runs one fake quantization from bytes to bytes and times it against a plain copy, on the host or
// on a GPU.
#pragma once

#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace opforge::tools {

struct EngineCall {
    runtime::Dtype dtype = runtime::Dtype::float32;
    std::int64_t groups = 1;
    int bits = 8;
    bool stochastic = false;
    bool asymmetric = false;
    runtime::RandomState random;
};

struct EngineTimes {
    double op_seconds = 0;
    double copy_seconds = 0;
};

class QuantizeEngine {
public:
    QuantizeEngine() = default;
    QuantizeEngine(const QuantizeEngine&) = delete;
    QuantizeEngine& operator=(const QuantizeEngine&) = delete;
    virtual ~QuantizeEngine();
    /// `input` and `output` are host memory of the same size and do not overlap.
    virtual EngineTimes run(const EngineCall& call, std::span<std::byte> input,
                            std::span<std::byte> output) = 0;
};

/// @throws NoDevice, DriverError for a GPU that is not there.
[[nodiscard]] std::unique_ptr<QuantizeEngine> make_engine(const runtime::Device& device,
                                                          int threads);

}  // namespace opforge::tools
