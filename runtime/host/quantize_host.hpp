// The host backend of the ops with codes: the GPU's bits, vectorised for the machine's instruction
// set, on all cores. `threads`: at most so many, 0: as many as the machine has. Each returns when
// its work is done.
#pragma once

#include "../quantize_task.hpp"

namespace opforge::runtime::host {

void quantize(const QuantizeTask& task, int threads);
void dequantize(const DequantizeTask& task, int threads);
void dequantize_experimental(const ExperimentalDequantizeTask& task, int threads);

}  // namespace opforge::runtime::host
