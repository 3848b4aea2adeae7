#include "random_arguments.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace opforge::runtime {
namespace {

/// Four numbers a counter, whose upper word is what is beyond 34 bits of an index.
constexpr std::uint32_t upper_counter_word(std::uint64_t index) {
    return static_cast<std::uint32_t>(index >> 34U);
}

/// Whether the elements' numbers begin with a whole counter, and all counters have one upper word.
bool is_scheduled(std::uint64_t offset, std::int64_t elements) {
    return offset % 4 == 0 &&
           upper_counter_word(offset) ==
               upper_counter_word(offset + static_cast<std::uint64_t>(elements) - 1);
}

}  // namespace

kernels::RandomArguments random_arguments(const RandomState& state, std::int64_t elements,
                                          driver::DevicePointer device_random) noexcept {
    kernels::RandomArguments arguments{.seed = state.seed,
                                       .offset = state.offset,
                                       .device_random =
                                           std::bit_cast<const unsigned long long*>(device_random),
                                       .round_keys = {},
                                       .scheduled = 0};
    if (device_random != 0 || !is_scheduled(state.offset, elements)) {
        return arguments;
    }
    arguments.scheduled = 1;
    // Each of Philox's rounds adds a constant to both words of the seed.
    auto first = static_cast<std::uint32_t>(state.seed);
    auto second = static_cast<std::uint32_t>(state.seed >> 32U);
    for (std::size_t round = 0; round < 10; ++round) {
        arguments.round_keys[2 * round] = first;
        arguments.round_keys[2 * round + 1] = second;
        first += 0x9E3779B9U;
        second += 0xBB67AE85U;
    }
    // The first round makes of a counter's upper word the word that the second one multiplies.
    const std::uint64_t product =
        std::uint64_t{0xD2511F53U} * (upper_counter_word(state.offset) ^ arguments.round_keys[0]);
    arguments.round_keys[3] ^= static_cast<std::uint32_t>(product >> 32U);
    arguments.round_keys[5] ^= static_cast<std::uint32_t>(product);
    return arguments;
}

void renew_random_arguments(kernels::RandomArguments& arguments, const RandomState& state,
                            std::int64_t elements) noexcept {
    const bool same_keys = arguments.scheduled != 0 && arguments.seed == state.seed &&
                           upper_counter_word(arguments.offset) == upper_counter_word(state.offset);
    if (same_keys && is_scheduled(state.offset, elements)) {
        arguments.offset = state.offset;
    } else {
        arguments = random_arguments(state, elements, 0);
    }
}

}  // namespace opforge::runtime
