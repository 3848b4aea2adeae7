// Sixteen bytes of elements at a time, and what decides where that is possible.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

constexpr int kVectorBytes = 16;

/// Sixteen bytes of raw elements. Addresses must be multiples of 16.
template <class Raw>
struct alignas(kVectorBytes) Vector {
    static constexpr int kCount = kVectorBytes / static_cast<int>(sizeof(Raw));
    Raw raw[kCount];
};

template <class Raw>
OPFORGE_DEVICE Vector<Raw> load_vector(const Raw* address) {
    return *reinterpret_cast<const Vector<Raw>*>(address);
}

template <class Raw>
OPFORGE_DEVICE void store_vector(Raw* address, const Vector<Raw>& vector) {
    *reinterpret_cast<Vector<Raw>*>(address) = vector;
}

/// A run of elements as scalars, whole vectors, scalars: [0, head), [head, head + vectors *
/// kCount), the rest. Input and output must be misaligned alike; where they are not, everything is
/// head.
struct Run {
    i64 head;
    i64 vectors;
};

template <class Raw>
OPFORGE_DEVICE Run split_run(const Raw* input, const Raw* output, i64 count) {
    const u64 from = reinterpret_cast<u64>(input) % kVectorBytes;
    const u64 to = reinterpret_cast<u64>(output) % kVectorBytes;
    if (from != to) {
        return {count, 0};
    }
    i64 head = static_cast<i64>((kVectorBytes - from) % kVectorBytes / sizeof(Raw));
    head = head < count ? head : count;
    return {head, (count - head) / Vector<Raw>::kCount};
}

}  // namespace opforge
