// Eight consecutive elements of a group, as floats in registers: the unit in which the ops with
// codes work. Eight codes fill whole bytes at every width. Only the last octet of a group may be
// short; what it lacks is a copy of its first element, which changes no range.
#pragma once

#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

struct Octet {
    float value[8];
};

/// `aligned`, `count`: as of a chunk.
template <class Element>
OPFORGE_DEVICE Octet load_octet(const typename Element::Raw* from, u32 count, bool aligned) {
    constexpr int kEach = Element::kPerWord;
    constexpr int kChunk = Chunk<Element>::kCount;
    Octet octet;
#pragma unroll
    for (int first = 0; first < 8; first += kChunk) {
        const Chunk<Element> chunk =
            load_chunk<Element>(from, static_cast<u32>(first), count, aligned);
#pragma unroll
        for (int i = 0; i < Chunk<Element>::kWords; ++i) {
            float values[kEach];
            Element::widen_word(chunk.word[i], values);
#pragma unroll
            for (int k = 0; k < kEach; ++k) {
                octet.value[first + i * kEach + k] = values[k];
            }
        }
    }
    return octet;
}

template <class Element>
OPFORGE_DEVICE void store_octet(typename Element::Raw* to, const Octet& octet, u32 count,
                                bool aligned) {
    constexpr int kEach = Element::kPerWord;
    constexpr int kChunk = Chunk<Element>::kCount;
#pragma unroll
    for (int first = 0; first < 8; first += kChunk) {
        Chunk<Element> chunk;
#pragma unroll
        for (int i = 0; i < Chunk<Element>::kWords; ++i) {
            float values[kEach];
#pragma unroll
            for (int k = 0; k < kEach; ++k) {
                values[k] = octet.value[first + i * kEach + k];
            }
            chunk.word[i] = Element::narrow_word(values);
        }
        const u32 left = static_cast<u32>(first) < count ? count - first : 0;
        store_chunk<Element>(to + first, chunk, left, aligned);
    }
}

/// Every value rounded to the element's format.
template <class Element>
OPFORGE_DEVICE float rounded(float value) {
    return Element::widen(Element::narrow(value));
}

}  // namespace opforge
