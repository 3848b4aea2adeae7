#include "group_schedule.hpp"

#include "parallel_for.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace opforge::runtime::host {
namespace {

void by_groups(std::int64_t groups, std::int64_t group_size, int threads, const GroupWork& work) {
    const std::int64_t groups_an_item = std::max<std::int64_t>(kItemElements / group_size, 1);
    parallel_for(divide_up(groups, groups_an_item), threads, [&](std::int64_t item) {
        const std::int64_t begin = item * groups_an_item;
        work.groups(begin, std::min(begin + groups_an_item, groups));
    });
}

void by_slices(std::int64_t groups, std::int64_t group_size, int threads, const GroupWork& work) {
    const std::int64_t slices = divide_up(group_size, kItemElements);
    std::vector<RangeKeys> ranges(static_cast<std::size_t>(groups * slices));
    const auto each_slice = [&](auto act) {
        parallel_for(groups * slices, threads, [&](std::int64_t item) {
            const std::int64_t within = item % slices * kItemElements;
            act(item, item / slices, within, std::min(kItemElements, group_size - within));
        });
    };
    each_slice([&](std::int64_t item, std::int64_t group, std::int64_t within, std::int64_t count) {
        ranges[static_cast<std::size_t>(item)] = work.measure(group, within, count);
    });
    std::vector<RangeKeys> of_groups(static_cast<std::size_t>(groups));
    for (std::size_t group = 0; group < of_groups.size(); ++group) {
        const auto begin = ranges.begin() + static_cast<std::ptrdiff_t>(group) * slices;
        of_groups[group] = *begin;
        for (auto range = begin; range != begin + slices; ++range) {
            of_groups[group].low = std::min(of_groups[group].low, range->low);
            of_groups[group].high = std::max(of_groups[group].high, range->high);
        }
    }
    each_slice([&](std::int64_t, std::int64_t group, std::int64_t within, std::int64_t count) {
        work.apply(of_groups[static_cast<std::size_t>(group)], group, within, count);
    });
}

}  // namespace

void run_groups(std::int64_t groups, std::int64_t group_size, int threads, const GroupWork& work) {
    const int wanted = threads > 0 ? threads : available_threads();
    if (group_size <= kItemElements || wanted == 1 || groups >= std::int64_t{4} * wanted) {
        by_groups(groups, group_size, wanted, work);
    } else {
        by_slices(groups, group_size, wanted, work);
    }
}

}  // namespace opforge::runtime::host
