#include "random_arguments.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace opforge::runtime {

kernels::RandomArguments random_arguments(const RandomState& state,
                                          driver::DevicePointer device_random) noexcept {
    kernels::RandomArguments arguments{.seed = state.seed,
                                       .offset = state.offset,
                                       .round_keys = {},
                                       .device_random =
                                           std::bit_cast<const unsigned long long*>(device_random)};
    // Each of Philox's rounds adds a constant to both words of the seed.
    auto first = static_cast<std::uint32_t>(state.seed);
    auto second = static_cast<std::uint32_t>(state.seed >> 32U);
    for (std::size_t round = 0; round < 10; ++round) {
        arguments.round_keys[2 * round] = first;
        arguments.round_keys[2 * round + 1] = second;
        first += 0x9E3779B9U;
        second += 0xBB67AE85U;
    }
    return arguments;
}

}  // namespace opforge::runtime
