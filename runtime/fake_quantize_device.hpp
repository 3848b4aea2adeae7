// Fake quantization on a GPU: context, kernels, plan, launch.
#pragma once

#include "fake_quantize_task.hpp"

#include <opforge/driver/cuda_types.hpp>

namespace opforge::runtime {

/// Queues the task on `stream` of the device and returns. The caller's current context is the same
/// afterwards.
/// @throws InvalidArgument where the stream is another device's; as ds_quantizer otherwise
void fake_quantize_on_device(const FakeQuantizeTask& task, int device, driver::StreamHandle stream,
                             driver::DevicePointer device_random);

}  // namespace opforge::runtime
