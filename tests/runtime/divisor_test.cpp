#include "divisor.hpp"

#include <catch2/catch.hpp>

#include <cstdint>

using opforge::kernels::Divisor;
using opforge::runtime::divisor_of;

namespace {

/// As kernel_sources/include/opforge/kernels/group_slice.cuh divides.
std::uint32_t divide(std::uint32_t n, const Divisor& by) {
    return static_cast<std::uint32_t>(std::uint64_t{2 * n} * by.multiplier >> 32U) >> by.shift;
}

constexpr std::uint32_t kMost = 0x7fffffff;

}  // namespace

TEST_CASE("a divisor divides exactly, also beside its multiples", "[runtime]") {
    std::uint64_t state = 1;
    const auto next = [&] {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::uint32_t>(state >> 33U);
    };
    const auto check = [](std::uint32_t n, std::uint32_t by) {
        return divide(n, divisor_of(by)) == n / by;
    };
    bool right = true;
    for (int i = 0; i < 200000; ++i) {
        const std::uint32_t by = (next() >> (next() % 31)) + 1;
        const std::uint32_t n = next() >> (next() % 31);
        const std::uint32_t multiple = n / by * by;
        right = right && check(n, by) && check(multiple, by) && check(kMost, by) && check(0, by) &&
                (multiple == 0 || check(multiple - 1, by));
    }
    for (std::uint32_t by = 1; by < 1000; ++by) {
        right = right && check(kMost / by * by - 1, by) && check(kMost / by * by, by);
    }
    CHECK(right);
    CHECK(check(kMost, kMost));
    CHECK(check(kMost - 1, kMost));
}

TEST_CASE("what is larger than all that is divided gives zero", "[runtime]") {
    for (const std::int64_t by : {std::int64_t{1} << 31U, std::int64_t{1} << 40U}) {
        CHECK(divide(kMost, divisor_of(by)) == 0);
    }
}
