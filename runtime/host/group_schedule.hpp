// How the groups of a tensor are spread over threads: whole groups, or, where there are few large
// ones, first the ranges of all slices and then the slices.
#pragma once

#include "range_keys.hpp"

#include <cstdint>
#include <functional>

namespace opforge::runtime::host {

/// Elements of a thread's item: some 10 us of work, and it fits a core's own cache. A multiple of
/// 8, so that a slice's codes begin on a byte.
inline constexpr std::int64_t kItemElements = 65536;

struct GroupWork {
    /// Groups [begin, end), measured and applied one after the other.
    std::function<void(std::int64_t begin, std::int64_t end)> groups;
    /// The range of a slice: `count` elements from element `within` of a group.
    std::function<RangeKeys(std::int64_t group, std::int64_t within, std::int64_t count)> measure;
    /// Applies a group's range to a slice of it.
    std::function<void(RangeKeys range, std::int64_t group, std::int64_t within,
                       std::int64_t count)>
        apply;
};

/// Returns when all is done. group_size >= 1; `threads` as parallel_for's.
void run_groups(std::int64_t groups, std::int64_t group_size, int threads, const GroupWork& work);

[[nodiscard]] constexpr std::int64_t divide_up(std::int64_t value, std::int64_t by) noexcept {
    return (value + by - 1) / by;
}

}  // namespace opforge::runtime::host
