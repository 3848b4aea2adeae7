// What nearest rounding has in the place of random numbers.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

struct NoDraws {
    OPFORGE_DEVICE void advance(u32) {}
    template <int kCount>
    OPFORGE_DEVICE void draw(float (&)[kCount]) const {}
};

}  // namespace opforge
