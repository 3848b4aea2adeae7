// The inner loops of the host backend, once for each instruction set. The sources are the same
// (fake_quantize_kernels.inl); the compiler's flags differ.
#pragma once

#include "../fake_quantize_task.hpp"
#include "range_keys.hpp"

#include <cstdint>

namespace opforge::runtime::host {

struct FakeQuantizeKernels {
    const char* instruction_set;
    /// Groups [begin, end), measured and applied one after the other.
    void (*groups)(const FakeQuantizeTask& task, std::int64_t begin, std::int64_t end);
    /// The range of elements [first, first + count).
    RangeKeys (*measure)(const FakeQuantizeTask& task, std::int64_t first, std::int64_t count);
    /// Applies a group's range to elements [first, first + count) of it.
    void (*apply)(const FakeQuantizeTask& task, RangeKeys range, std::int64_t first,
                  std::int64_t count);
};

extern const FakeQuantizeKernels kFakeQuantizeBaseline;
#if OPFORGE_HOST_X86
extern const FakeQuantizeKernels kFakeQuantizeAvx2;    // AVX2 and FMA
extern const FakeQuantizeKernels kFakeQuantizeAvx512;  // AVX-512 F, BW, DQ, VL
#endif

}  // namespace opforge::runtime::host
