// What the host works out of a launch's random numbers, carried through to the numbers as
// kernel_sources/include/opforge/kernels/philox.cuh does.
#include "random_arguments.hpp"

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include <support/oracle.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

using namespace opforge;
using namespace opforge::runtime;

namespace {

// The words of a counter of a scheduled launch, by its lower word.
std::array<std::uint32_t, 4> scheduled_words(const kernels::RandomArguments& arguments,
                                             std::uint32_t counter) {
    const auto multiply = [](std::uint32_t a, std::uint32_t b) { return std::uint64_t{a} * b; };
    const auto high = [](std::uint64_t product) {
        return static_cast<std::uint32_t>(product >> 32U);
    };
    const auto low = [](std::uint64_t product) { return static_cast<std::uint32_t>(product); };
    const auto& keys = arguments.round_keys;
    const std::uint64_t first = multiply(0xD2511F53U, counter);
    const std::uint64_t second = multiply(0xCD9E8D57U, high(first) ^ keys[1]);
    std::array<std::uint32_t, 4> c = {high(second) ^ keys[2], low(second), low(first) ^ keys[3], 0};
    for (std::size_t round = 2; round < 10; ++round) {
        const std::uint64_t product0 = multiply(0xD2511F53U, c[0]);
        const std::uint64_t product1 = multiply(0xCD9E8D57U, c[2]);
        c = {high(product1) ^ c[1] ^ keys[2 * round], low(product1),
             high(product0) ^ c[3] ^ keys[2 * round + 1], low(product0)};
    }
    return c;
}

bool equals_philox(const kernels::RandomArguments& arguments, std::uint64_t index) {
    const std::uint64_t counter = index / 4;
    const auto expected = test::oracle::philox(
        {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32U), 0, 0},
        {static_cast<std::uint32_t>(arguments.seed),
         static_cast<std::uint32_t>(arguments.seed >> 32U)});
    return scheduled_words(arguments, static_cast<std::uint32_t>(counter)) == expected;
}

}  // namespace

TEST_CASE("the keys of a scheduled launch give Philox's words", "[runtime]") {
    CHECK(rc::check("for any seed and any upper word of the counters", [] {
        const RandomState state{*rc::gen::arbitrary<std::uint64_t>(),
                                *rc::gen::arbitrary<std::uint64_t>() / 4 * 4};
        const auto elements = *rc::gen::inRange<std::int64_t>(1, 1 << 30);
        const auto arguments = random_arguments(state, elements, 0);
        RC_PRE(arguments.scheduled != 0U);
        const auto last = state.offset + static_cast<std::uint64_t>(elements) - 1;
        RC_ASSERT(equals_philox(arguments, state.offset));
        RC_ASSERT(equals_philox(arguments, last));
    }));
}

TEST_CASE("a launch is scheduled where whole counters share their upper word", "[runtime]") {
    constexpr std::uint64_t kBoundary = std::uint64_t{1} << 34U;
    const auto is_scheduled = [](std::uint64_t offset, std::int64_t elements,
                                 driver::DevicePointer device_random = 0) {
        return random_arguments({3, offset}, elements, device_random).scheduled != 0;
    };
    CHECK(is_scheduled(0, 1));
    CHECK(is_scheduled(0, std::int64_t{1} << 34U));
    CHECK_FALSE(is_scheduled(0, (std::int64_t{1} << 34U) + 1));
    CHECK(is_scheduled(kBoundary - 4, 4));
    CHECK_FALSE(is_scheduled(kBoundary - 4, 5));
    CHECK(is_scheduled(kBoundary, 5));
    CHECK(is_scheduled(0 - std::uint64_t{4}, 4));
    CHECK_FALSE(is_scheduled(0 - std::uint64_t{4}, 5));
    for (const std::uint64_t offset : {1U, 2U, 3U}) {
        CHECK_FALSE(is_scheduled(offset, 100));
    }
    CHECK_FALSE(is_scheduled(0, 100, 0x1000));
}

TEST_CASE("arguments renewed for a state are those made for it", "[runtime]") {
    CHECK(rc::check("whatever they were made for", [] {
        const auto state = [] {
            const auto offset =
                *rc::gen::oneOf(rc::gen::arbitrary<std::uint64_t>(),
                                rc::gen::inRange<std::uint64_t>((std::uint64_t{1} << 34U) - 400,
                                                                (std::uint64_t{1} << 34U) + 400));
            return RandomState{*rc::gen::element<std::uint64_t>(5, 6),
                               *rc::gen::arbitrary<bool>() ? offset / 4 * 4 : offset};
        };
        const auto elements = *rc::gen::inRange<std::int64_t>(1, 300);
        auto renewed = random_arguments(state(), elements, 0);
        const RandomState next = state();
        renew_random_arguments(renewed, next, elements);
        const auto made = random_arguments(next, elements, 0);
        RC_ASSERT(renewed.seed == made.seed);
        RC_ASSERT(renewed.offset == made.offset);
        RC_ASSERT(renewed.scheduled == made.scheduled);
        RC_ASSERT(renewed.device_random == nullptr);
        for (std::size_t i = 0; i < std::size(made.round_keys); ++i) {
            RC_ASSERT(renewed.round_keys[i] == made.round_keys[i]);
        }
    }));
}
