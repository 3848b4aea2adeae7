#include "divisor.hpp"

#include <bit>

namespace opforge::runtime {

kernels::Divisor divisor_of(std::int64_t by) noexcept {
    constexpr std::uint64_t kBeyond = std::uint64_t{1} << 31U;  // of what is divided
    const auto divisor = static_cast<std::uint64_t>(by);
    if (divisor >= kBeyond) {
        return {.multiplier = 0, .shift = 0};
    }
    const auto shift = static_cast<unsigned>(std::bit_width(divisor - 1));
    return {.multiplier = static_cast<unsigned>(((kBeyond << shift) + divisor - 1) / divisor),
            .shift = shift};
}

}  // namespace opforge::runtime
