// What the ops with outputs of their own take besides DeepSpeed's arguments.
#pragma once

#include <opforge/driver/cuda_types.hpp>
#include <opforge/runtime/random_state.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstddef>
#include <functional>
#include <optional>

namespace opforge::runtime {

/// Memory for an output that the caller does not bring: `size_bytes` (never 0) on `device`, aligned
/// to 16 bytes at least, usable on the call's stream, no part of another tensor of the call. It
/// stays the caller's: opforge neither frees nor keeps it.
using Allocator = std::function<void*(std::size_t size_bytes, Device device)>;

struct OpOptions {
    /// Device tensors only. Null: the default stream of the current context, or of the device's
    /// primary context where the current one is another device's.
    driver::StreamHandle stream = nullptr;
    /// Where the codes, or a dequantizer's values, go; else `allocate` is asked. The shape may
    /// differ from what op_outputs.hpp says, the element count may not. Overlaps no other tensor of
    /// the call.
    std::optional<TensorView> output;
    /// Where the records of step (and offset) go, likewise. float32.
    std::optional<TensorView> params;
    Allocator allocate;
    /// `quantize` only: stochastic rounding, its numbers from `random`, or the process-wide
    /// generator.
    bool stochastic = false;
    std::optional<RandomState> random;
    /// As CallOptions::device_random. `quantize` only.
    driver::DevicePointer device_random = 0;
    /// Host tensors only: at most this many threads; 0: as many as the machine has.
    int threads = 0;
};

/// Codes and their records, in the caller's memory or in what the allocator gave.
struct QuantizedTensor {
    TensorView codes;   // int8 storage
    TensorView params;  // float32, [groups, 1] {step} or [groups, 2] {step, offset}
};

}  // namespace opforge::runtime
