#include "deepspeed_peer.hpp"

#include <stdexcept>

namespace opforge::bench {
namespace {

using driver::StreamHandle;

// The functions of bench/peers/deepspeed.cu.
using FakeQuantize = int (*)(void*, int, int, int, int, int, int, StreamHandle);
using Quantize = int (*)(void*, void*, const void*, int, int, int, int, StreamHandle);
using Dequantize = int (*)(void*, int, const void*, const void*, int, int, int, int, StreamHandle);
using SwizzleQuant = int (*)(void*, void*, const void*, void*, int, int, int, int, int, int,
                             StreamHandle);
using QuantizedReduction = int (*)(void*, void*, const void*, const void*, void*, int, int, int,
                                   int, int, int, StreamHandle);

constexpr int kDoesNothing = -1;

void expect(int result) {
    if (result == kDoesNothing) {
        throw std::runtime_error("does nothing, silently");
    }
    require(result, "DeepSpeed's launch");
}

/// A cell in the terms of DeepSpeed's functions, which count in int.
struct Counts {
    int elements;
    int groups;
    int value_bytes;
    int bits;
    int asymmetric;
    int stochastic;
    int devices;
    bool feedback;

    explicit Counts(const Cell& cell)
        : elements(static_cast<int>(cell.elements)),
          groups(static_cast<int>(cell.elements / cell.group_size)),
          value_bytes(cell.dtype == "fp32" ? 4 : 2), bits(cell.bits),
          asymmetric(cell.type == "asymmetric" ? 1 : 0), stochastic(cell.stochastic ? 1 : 0),
          devices(static_cast<int>(cell.devices)), feedback(cell.op.starts_with("loco")) {}
};

}  // namespace

DeepSpeedPeer::DeepSpeedPeer(const std::filesystem::path& library)
    : library_(std::filesystem::absolute(library).c_str()) {
    static_cast<void>(library_.function<FakeQuantize>("opforge_peer_fake_quantize"));
}

std::string DeepSpeedPeer::refusal(const Cell& cell) {
    const bool any_dtype = cell.op == "ds_quantizer" || cell.op == "dequantize";
    if (cell.dtype == "bf16" || (cell.dtype == "fp32" && !any_dtype)) {
        return "has no " + cell.dtype;
    }
    if (cell.bits != 8 && cell.bits != 4 && cell.op != "ds_quantizer") {
        return "has 8 and 4 bits only";
    }
    if (cell.op != "ds_quantizer" && cell.stochastic) {
        return "has no stochastic rounding here";
    }
    // 128 vectors of four values in each of 1024 threads; beyond, the kernel writes past its array.
    constexpr std::int64_t kMostStochastic = std::int64_t{512} << 10U;
    if (cell.op == "ds_quantizer" && cell.stochastic && cell.group_size > kMostStochastic) {
        return "its kernel would write past its own array";
    }
    // It has no branch for more, and launches nothing.
    constexpr std::int64_t kMostWithCodes = std::int64_t{16} << 10U;
    if (cell.op != "ds_quantizer" && cell.op != "dequantize" && cell.group_size > kMostWithCodes) {
        return "does nothing, silently";
    }
    return {};
}

KernelTiming::Launch DeepSpeedPeer::launch(const Cell& cell) const {
    if (!refusal(cell).empty()) {
        return {};
    }
    const Counts of(cell);
    if (cell.op == "ds_quantizer") {
        const auto call = library_.function<FakeQuantize>("opforge_peer_fake_quantize");
        return [=](const CellMemory& memory, StreamHandle stream) {
            expect(call(memory.peer, of.value_bytes, of.elements, of.groups, of.bits, of.stochastic,
                        of.asymmetric, stream));
        };
    }
    if (cell.op == "quantize") {
        const auto call = library_.function<Quantize>("opforge_peer_quantize");
        return [=](const CellMemory& memory, StreamHandle stream) {
            expect(call(memory.output, memory.records, memory.input, of.elements, of.groups,
                        of.bits, of.asymmetric, stream));
        };
    }
    if (cell.op == "dequantize") {
        const auto call = library_.function<Dequantize>("opforge_peer_dequantize");
        return [=](const CellMemory& memory, StreamHandle stream) {
            expect(call(memory.output, of.value_bytes, memory.codes, memory.params, of.elements,
                        of.groups, of.bits, of.asymmetric, stream));
        };
    }
    if (cell.op.ends_with("swizzle_quant")) {
        const auto call = library_.function<SwizzleQuant>("opforge_peer_swizzle_quant");
        return [=](const CellMemory& memory, StreamHandle stream) {
            expect(call(memory.output, memory.records, memory.input,
                        of.feedback ? memory.error : nullptr, of.elements, of.groups, of.bits,
                        of.asymmetric, kSwizzleNodes, kSwizzleDevices, stream));
        };
    }
    const auto call = library_.function<QuantizedReduction>("opforge_peer_quantized_reduction");
    return [=](const CellMemory& memory, StreamHandle stream) {
        expect(call(memory.output, memory.records, memory.codes, memory.params,
                    of.feedback ? memory.error : nullptr, of.elements / 8 * of.bits, of.devices,
                    of.groups, of.groups / of.devices, of.bits, of.asymmetric, stream));
    };
}

}  // namespace opforge::bench
