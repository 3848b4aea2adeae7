// A launch's random numbers, and the way of drawing them that its seed and offset allow.
#pragma once

#include "opforge/kernels/philox.cuh"
#include "opforge/kernels/random_arguments.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// Seed and offset, from the arguments or from device memory. kStochastic: whether any are drawn.
template <bool kStochastic>
struct Random {
    const kernels::RandomArguments& arguments;
    u64 seed;
    u64 offset;

    OPFORGE_DEVICE explicit Random(const kernels::RandomArguments& given)
        : arguments(given), seed(given.seed), offset(given.offset) {
        if (kStochastic && given.device_random != nullptr) {
            seed = given.device_random[0];
            offset = given.device_random[1];
        }
    }

    /// act(draws) with the draws of the elements from `index` of the tensor on. `act` is an object
    /// with a call operator, not a lambda: NVRTC takes a generic one for host code.
    template <class Act>
    OPFORGE_DEVICE void with_draws(i64 index, Act act) const {
        if constexpr (kStochastic) {
            const u64 j = offset + static_cast<u64>(index);
            if (arguments.device_random == nullptr && j % 4 == 0) {
                act(ScheduledDraws(arguments.round_keys, j));
            } else {
                act(AnyDraws(seed, j));
            }
        } else {
            act(NoDraws{});
        }
    }

    /// Those of a few elements.
    template <int kCount>
    OPFORGE_DEVICE void draw_at(i64 index, float (&draws)[kCount]) const {
        with_draws(index, DrawInto<kCount>{draws});
    }

private:
    template <int kCount>
    struct DrawInto {
        float (&draws)[kCount];
        template <class Draws>
        OPFORGE_DEVICE void operator()(const Draws& from) const {
            from.draw(draws);
        }
    };
};

}  // namespace opforge
