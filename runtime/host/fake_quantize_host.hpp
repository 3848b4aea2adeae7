// The host backend of fake quantization: the GPU's bits, vectorised for the machine's instruction
// set, on all cores.
#pragma once

#include "../fake_quantize_task.hpp"

namespace opforge::runtime::host {

/// Runs the task and returns when it is done. `threads`: at most so many, 0: as many as the machine
/// has.
void fake_quantize(const FakeQuantizeTask& task, int threads);

}  // namespace opforge::runtime::host
