// Counters of what a fast path must not do. The program that links dispatch_counters.cpp has its
// operator new and, by the linker's --wrap, its mutexes counted.
#pragma once

#include <cstdint>

namespace opforge::test {

struct HostCosts {
    std::uint64_t allocations = 0;
    std::uint64_t locks = 0;
    friend HostCosts operator-(const HostCosts& a, const HostCosts& b) {
        return {a.allocations - b.allocations, a.locks - b.locks};
    }
};

/// Of the whole process so far.
[[nodiscard]] HostCosts host_costs() noexcept;

}  // namespace opforge::test
