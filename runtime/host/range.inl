// Ranges as integer keys, included after vector_math.inl.

#include "range_keys.hpp"

namespace opforge::runtime::host {
namespace {

template <class Element>
typename Element::Raw key_of(typename Element::Raw raw) {
    using Raw = typename Element::Raw;
    // All ones where negative: inverts the order of the negatives; else only the sign bit: lifts
    // the positives.
    const Raw negative = static_cast<Raw>(-static_cast<i64>((raw & Element::kSign) != 0));
    return static_cast<Raw>(raw ^ (negative | Element::kSign));
}
template <class Element>
float value_of(u32 key) {
    using Raw = typename Element::Raw;
    const auto k = static_cast<Raw>(key);
    return Element::widen(static_cast<Raw>((k & Element::kSign) != 0 ? k ^ Element::kSign : ~k));
}

/// The keys of the least and the greatest of `count` elements, in the element's own width;
/// symmetric: of the largest magnitude, its bits. A NaN or an infinity wins.
template <class Element, bool kAsymmetric, class Stored>
RangeKeys measure_elements(const Stored* in, i64 count) {
    using Raw = typename Element::Raw;
    Raw low = static_cast<Raw>(~Raw{0});
    Raw high = 0;
    for (i64 i = 0; i < count; ++i) {
        const Raw raw = __builtin_bit_cast(Raw, in[i]);
        if constexpr (kAsymmetric) {
            const Raw k = key_of<Element>(raw);
            low = k < low ? k : low;
            high = k > high ? k : high;
        } else {
            const Raw magnitude = static_cast<Raw>(raw & static_cast<Raw>(~Element::kSign));
            high = magnitude > high ? magnitude : high;
        }
    }
    return {low, high};
}

}  // namespace
}  // namespace opforge::runtime::host
