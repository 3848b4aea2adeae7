// What turns an element of one group into its quantized self, included after range.inl. Arithmetic:
// contract, 1.1 and 3.

#include "../fake_quantize_task.hpp"

namespace opforge::runtime::host {
namespace {

struct GroupCodec {
    float low = 0;    // asymmetric
    float step = 0;   // asymmetric: step; symmetric: inverse of the scale. NaN: a poisoned group
    float scale = 0;  // asymmetric: inverse of the step; symmetric: scale
};

/// Symmetric: `high` is the largest magnitude, `low` unused. An infinity or a NaN poisons.
template <bool kAsymmetric>
inline GroupCodec group_codec(double levels, float low, float high) {
    constexpr float kLargest = 3.402823466e+38F;
    const float nan = as_float(0x7fc00000U);
    GroupCodec result;
    if constexpr (kAsymmetric) {
        result.low = low;
        const float width = high - low;
        result.step = static_cast<float>((static_cast<double>(width) + 1e-5) / levels);
        result.scale = 1.0F / result.step;
        result.step = __builtin_fabsf(width) <= kLargest ? result.step : nan;
    } else {
        const float width = 2.0F * high;
        result.scale = static_cast<float>(levels / (static_cast<double>(width) + 1e-5));
        result.step = width <= kLargest ? 1.0F / result.scale : nan;
    }
    return result;
}

template <class Element, bool kAsymmetric>
GroupCodec group_codec(double levels, RangeKeys range) {
    return kAsymmetric ? group_codec<true>(levels, value_of<Element>(range.low),
                                           value_of<Element>(range.high))
                       : group_codec<false>(levels, 0, Element::widen(static_cast<typename Element::Raw>(range.high)));
}

}  // namespace
}  // namespace opforge::runtime::host
