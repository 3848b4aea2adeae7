// Fake quantization on a GPU: context, kernels, plan, launch.
#pragma once

#include "fake_quantize_task.hpp"

#include <opforge/driver/cuda_types.hpp>

#include <cstdint>

namespace opforge::runtime {

/// Whether every 16 bytes of the tensors move as a whole vector: slices are multiples of 64
/// elements.
/// @param addresses of all tensors, or-ed
[[nodiscard]] inline bool is_aligned(std::uintptr_t addresses, std::int64_t group_size,
                                     std::uintptr_t element_bytes) noexcept {
    constexpr std::uintptr_t kVectorBytes = 16;
    return ((addresses | static_cast<std::uintptr_t>(group_size) * element_bytes) % kVectorBytes) ==
           0;
}

/// Queues the task on `stream` of the device and returns. The caller's current context is the same
/// afterwards.
/// @throws InvalidArgument where the stream is another device's; as ds_quantizer otherwise
void fake_quantize_on_device(const FakeQuantizeTask& task, int device, driver::StreamHandle stream,
                             driver::DevicePointer device_random);

}  // namespace opforge::runtime
