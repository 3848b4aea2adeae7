// The inner loops of the ops with codes on the host, once for each instruction set. The sources are
// the same (quantize_kernels.inl); the compiler's flags differ.
#pragma once

#include "../quantize_task.hpp"
#include "range_keys.hpp"

#include <cstdint>

namespace opforge::runtime::host {

/// Groups are numbered as the input's (a reduction's: as the output's); ranges are float32 keys.
struct QuantizeKernels {
    const char* instruction_set;
    /// Groups [begin, end), measured and applied one after the other.
    void (*groups)(const QuantizeTask& task, std::int64_t begin, std::int64_t end);
    /// The range of `count` elements from element `within` of a group, a multiple of 8.
    RangeKeys (*measure)(const QuantizeTask& task, std::int64_t group, std::int64_t within,
                         std::int64_t count);
    /// Encodes that slice by its group's range, and updates its errors. The slice that begins the
    /// group writes the group's record. `count` is a multiple of 8 unless the slice ends the group.
    void (*apply)(const QuantizeTask& task, RangeKeys range, std::int64_t group,
                  std::int64_t within, std::int64_t count);
    /// Elements [begin, end) of the whole tensor; both multiples of 8, or `end` the tensor's.
    void (*dequantize)(const DequantizeTask& task, std::int64_t begin, std::int64_t end);
    void (*dequantize_experimental)(const ExperimentalDequantizeTask& task, std::int64_t begin,
                                    std::int64_t end);
};

extern const QuantizeKernels kQuantizeBaseline;
#if OPFORGE_HOST_X86
extern const QuantizeKernels kQuantizeAvx2;
extern const QuantizeKernels kQuantizeAvx512;
#endif

// The ops of quantize_host.hpp with one of the tables.
void quantize(const QuantizeKernels& kernels, const QuantizeTask& task, int threads);
void dequantize(const QuantizeKernels& kernels, const DequantizeTask& task, int threads);
void dequantize_experimental(const QuantizeKernels& kernels, const ExperimentalDequantizeTask& task,
                             int threads);

}  // namespace opforge::runtime::host
