// The ops with codes on a GPU: context, kernels, plan, launch. Each queues its task on `stream` of
// the device and returns; the caller's current context is the same afterwards.
// @throws InvalidArgument where the stream is another device's; as the ops otherwise
#pragma once

#include "quantize_task.hpp"

#include <opforge/driver/cuda_types.hpp>

namespace opforge::runtime {

void quantize_on_device(const char* op, const QuantizeTask& task, int device,
                        driver::StreamHandle stream, driver::DevicePointer device_random);
void dequantize_on_device(const char* op, const DequantizeTask& task, int device,
                          driver::StreamHandle stream);
void dequantize_experimental_on_device(const char* op, const ExperimentalDequantizeTask& task,
                                       int device, driver::StreamHandle stream);

}  // namespace opforge::runtime
