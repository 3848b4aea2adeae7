#include "group_schedule.hpp"

#include "parallel_for.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace opforge::runtime::host {
namespace {

// A thread's share of what is measured before it is applied: half a megabyte of fp16.
constexpr std::int64_t kCachedItems = 4;

void by_groups(std::int64_t groups, std::int64_t group_size, int threads, const GroupWork& work) {
    // Long runs where there are enough of them to even out what threads differ by: at the end of
    // one nothing has been read ahead.
    constexpr std::int64_t kItemsAThread = 16;
    const std::int64_t item_elements = std::clamp<std::int64_t>(
        groups * group_size / (kItemsAThread * threads), kItemElements, 16 * kItemElements);
    const std::int64_t groups_an_item = std::max<std::int64_t>(item_elements / group_size, 1);
    parallel_for(divide_up(groups, groups_an_item), threads, [&](std::int64_t item) {
        const std::int64_t begin = item * groups_an_item;
        work.groups(begin, std::min(begin + groups_an_item, groups));
    });
}

// A few groups at a time, so that what was measured is still in the cores' caches when it is
// applied; and the last of it first, which is the likeliest to be there.
void by_slices(std::int64_t groups, std::int64_t group_size, int threads, const GroupWork& work) {
    const std::int64_t slices = divide_up(group_size, kItemElements);
    const std::int64_t groups_at_once =
        std::clamp<std::int64_t>(kCachedItems * threads / slices, 1, groups);
    std::vector<RangeKeys> ranges(static_cast<std::size_t>(groups_at_once * slices));
    std::vector<RangeKeys> of_groups(static_cast<std::size_t>(groups_at_once));
    for (std::int64_t first = 0; first < groups; first += groups_at_once) {
        const std::int64_t count = std::min(groups_at_once, groups - first);
        const std::int64_t items = count * slices;
        const auto within = [&](std::int64_t item) { return item % slices * kItemElements; };
        const auto size = [&](std::int64_t item) {
            return std::min(kItemElements, group_size - within(item));
        };
        parallel_for(items, threads, [&](std::int64_t item) {
            ranges[static_cast<std::size_t>(item)] =
                work.measure(first + item / slices, within(item), size(item));
        });
        for (std::int64_t group = 0; group < count; ++group) {
            const auto begin = ranges.begin() + group * slices;
            RangeKeys all = *begin;
            for (auto range = begin; range != begin + slices; ++range) {
                all.low = std::min(all.low, range->low);
                all.high = std::max(all.high, range->high);
            }
            of_groups[static_cast<std::size_t>(group)] = all;
        }
        parallel_for(items, threads, [&](std::int64_t step) {
            const std::int64_t item = items - 1 - step;
            work.apply(of_groups[static_cast<std::size_t>(item / slices)], first + item / slices,
                       within(item), size(item));
        });
    }
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
