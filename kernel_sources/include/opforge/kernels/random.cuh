// A launch's random numbers, and the way of drawing them that its seed and offset allow.
#pragma once

#include "opforge/kernels/no_draws.cuh"
#include "opforge/kernels/philox.cuh"
#include "opforge/kernels/random_arguments.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// The draws of the elements from `index` of the tensor on, a multiple of four, of a scheduled
/// launch. kStochastic: whether any are drawn.
template <bool kStochastic>
OPFORGE_DEVICE auto scheduled_draws(const kernels::RandomArguments& arguments, i64 index) {
    if constexpr (kStochastic) {
        return ScheduledDraws(arguments.round_keys, arguments.offset + static_cast<u64>(index));
    } else {
        return NoDraws{};
    }
}

/// Those of any launch.
template <bool kStochastic>
class Random {
public:
    OPFORGE_DEVICE explicit Random(const kernels::RandomArguments& arguments)
        : arguments_(arguments) {}

    /// act(draws) with the draws of the elements from `index` of the tensor on. `act` is an object
    /// with a call operator, not a lambda: NVRTC takes a generic one for host code.
    template <class Act>
    OPFORGE_DEVICE void with_draws(i64 index, Act act) const {
        if constexpr (kStochastic) {
            const u64 first = static_cast<u64>(index);
            if (arguments_.scheduled != 0 && first % 4 == 0) {
                act(ScheduledDraws(arguments_.round_keys, arguments_.offset + first));
            } else {
                const u64* const in_memory = arguments_.device_random;
                const u64 seed = in_memory != nullptr ? in_memory[0] : arguments_.seed;
                const u64 offset = in_memory != nullptr ? in_memory[1] : arguments_.offset;
                act(AnyDraws(seed, offset + first));
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

    const kernels::RandomArguments& arguments_;
};

}  // namespace opforge
