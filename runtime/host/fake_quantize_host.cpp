#include "fake_quantize_host.hpp"

#include "fake_quantize_kernels.hpp"
#include "group_schedule.hpp"
#include "instruction_set.hpp"

#include <cstdint>

namespace opforge::runtime::host {
namespace {

const FakeQuantizeKernels& choose_kernels() {
#if OPFORGE_HOST_X86
    switch (best_instruction_set()) {
    case InstructionSet::avx512:
        return kFakeQuantizeAvx512;
    case InstructionSet::avx2:
        return kFakeQuantizeAvx2;
    case InstructionSet::baseline:
        break;
    }
#endif
    return kFakeQuantizeBaseline;
}

}  // namespace

void fake_quantize(const FakeQuantizeTask& task, int threads) {
    const FakeQuantizeKernels& kernels = choose_kernels();
    GroupWork work;
    work.groups = [&](std::int64_t begin, std::int64_t end) { kernels.groups(task, begin, end); };
    work.measure = [&](std::int64_t group, std::int64_t within, std::int64_t count) {
        return kernels.measure(task, group * task.group_size + within, count);
    };
    work.apply = [&](RangeKeys range, std::int64_t group, std::int64_t within, std::int64_t count) {
        kernels.apply(task, range, group * task.group_size + within, count);
    };
    run_groups(task.groups, task.group_size, threads, work);
}

}  // namespace opforge::runtime::host
