#include "fake_quantize_host.hpp"
#include "fake_quantize_kernels.hpp"
#include "parallel_for.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace opforge::runtime::host {
namespace {

constexpr std::int64_t kItemElements =
    65536;  // a thread's item: some 10 us of work, and it fits a core's own cache

const FakeQuantizeKernels& choose_kernels() {
#if OPFORGE_HOST_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return kFakeQuantizeAvx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return kFakeQuantizeAvx2;
    }
#endif
    return kFakeQuantizeBaseline;
}

std::int64_t divide_up(std::int64_t value, std::int64_t by) {
    return (value + by - 1) / by;
}

void by_groups(const FakeQuantizeKernels& kernels, const FakeQuantizeTask& task, int threads) {
    const std::int64_t groups_an_item = std::max<std::int64_t>(kItemElements / task.group_size, 1);
    parallel_for(divide_up(task.groups, groups_an_item), threads, [&](std::int64_t item) {
        const std::int64_t begin = item * groups_an_item;
        kernels.groups(task, begin, std::min(begin + groups_an_item, task.groups));
    });
}

/// Few large groups: the ranges of all slices first, then the slices.
void by_slices(const FakeQuantizeKernels& kernels, const FakeQuantizeTask& task, int threads) {
    const std::int64_t slices = divide_up(task.group_size, kItemElements);
    std::vector<RangeKeys> ranges(static_cast<std::size_t>(task.groups * slices));
    const auto each_slice = [&](auto act) {
        parallel_for(task.groups * slices, threads, [&](std::int64_t item) {
            const std::int64_t group = item / slices;
            const std::int64_t within = item % slices * kItemElements;
            act(item, group, group * task.group_size + within,
                std::min(kItemElements, task.group_size - within));
        });
    };
    each_slice([&](std::int64_t item, std::int64_t, std::int64_t first, std::int64_t count) {
        ranges[static_cast<std::size_t>(item)] = kernels.measure(task, first, count);
    });
    std::vector<RangeKeys> of_groups(static_cast<std::size_t>(task.groups));
    for (std::size_t group = 0; group < of_groups.size(); ++group) {
        const auto begin = ranges.begin() + static_cast<std::ptrdiff_t>(group) * slices;
        of_groups[group] = *begin;
        for (auto range = begin; range != begin + slices; ++range) {
            of_groups[group].low = std::min(of_groups[group].low, range->low);
            of_groups[group].high = std::max(of_groups[group].high, range->high);
        }
    }
    each_slice([&](std::int64_t, std::int64_t group, std::int64_t first, std::int64_t count) {
        kernels.apply(task, of_groups[static_cast<std::size_t>(group)], first, count);
    });
}

}  // namespace

void fake_quantize(const FakeQuantizeTask& task, int threads) {
    static const FakeQuantizeKernels& kernels = choose_kernels();
    const int wanted = threads > 0 ? threads : available_threads();
    if (task.group_size <= kItemElements || wanted == 1 ||
        task.groups >= std::int64_t{4} * wanted) {
        by_groups(kernels, task, wanted);
    } else {
        by_slices(kernels, task, wanted);
    }
}

}  // namespace opforge::runtime::host
