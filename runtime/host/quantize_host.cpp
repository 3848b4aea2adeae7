#include "quantize_host.hpp"

#include "group_schedule.hpp"
#include "instruction_set.hpp"
#include "parallel_for.hpp"
#include "quantize_kernels.hpp"

#include <algorithm>
#include <cstdint>

namespace opforge::runtime::host {
namespace {

const QuantizeKernels& choose_kernels() {
#if OPFORGE_HOST_X86
    switch (best_instruction_set()) {
    case InstructionSet::avx512:
        return kQuantizeAvx512;
    case InstructionSet::avx2:
        return kQuantizeAvx2;
    case InstructionSet::baseline:
        break;
    }
#endif
    return kQuantizeBaseline;
}

/// Empty groups have records all the same: step 1, offset 0.
void write_empty_records(const QuantizeTask& task) {
    float* record = task.params;
    for (std::int64_t group = 0; group < task.groups; ++group) {
        *record++ = 1;
        if (task.asymmetric) {
            *record++ = 0;
        }
    }
}

/// Decoding needs no ranges, so elements are shared out without regard for groups.
template <class Task>
void by_elements(void (*decode)(const Task&, std::int64_t, std::int64_t), const Task& task,
                 int threads) {
    const std::int64_t elements = task.groups * task.group_size;
    parallel_for(divide_up(elements, kItemElements), threads, [&](std::int64_t item) {
        const std::int64_t begin = item * kItemElements;
        decode(task, begin, std::min(begin + kItemElements, elements));
    });
}

}  // namespace

void quantize(const QuantizeKernels& kernels, const QuantizeTask& task, int threads) {
    if (task.group_size == 0) {
        write_empty_records(task);
        return;
    }
    GroupWork work;
    work.groups = [&](std::int64_t begin, std::int64_t end) { kernels.groups(task, begin, end); };
    work.measure = [&](std::int64_t group, std::int64_t within, std::int64_t count) {
        return kernels.measure(task, group, within, count);
    };
    work.apply = [&](RangeKeys range, std::int64_t group, std::int64_t within, std::int64_t count) {
        kernels.apply(task, range, group, within, count);
    };
    run_groups(task.groups, task.group_size, threads, work);
}

void dequantize(const QuantizeKernels& kernels, const DequantizeTask& task, int threads) {
    by_elements(kernels.dequantize, task, threads);
}

void dequantize_experimental(const QuantizeKernels& kernels, const ExperimentalDequantizeTask& task,
                             int threads) {
    by_elements(kernels.dequantize_experimental, task, threads);
}

void quantize(const QuantizeTask& task, int threads) {
    quantize(choose_kernels(), task, threads);
}

void dequantize(const DequantizeTask& task, int threads) {
    dequantize(choose_kernels(), task, threads);
}

void dequantize_experimental(const ExperimentalDequantizeTask& task, int threads) {
    dequantize_experimental(choose_kernels(), task, threads);
}

}  // namespace opforge::runtime::host
