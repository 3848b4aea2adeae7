// Eight consecutive elements of a group, in words as memory has them: the unit in which the ops
// with codes work. Eight codes fill whole bytes at every width. Only the last octet of a group may
// be short; what it lacks is a copy of its first element, which changes no range.
#pragma once

#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

template <class Element>
struct Octet {
    static constexpr int kEach = Element::kPerWord;
    static constexpr int kWords = 8 / kEach;
    u32 word[kWords];

    OPFORGE_DEVICE void widen(float (&values)[8]) const {
#pragma unroll
        for (int i = 0; i < kWords; ++i) {
            float some[kEach];
            Element::widen_word(word[i], some);
#pragma unroll
            for (int k = 0; k < kEach; ++k) {
                values[i * kEach + k] = some[k];
            }
        }
    }
    static OPFORGE_DEVICE Octet narrow(const float (&values)[8]) {
        Octet octet;
#pragma unroll
        for (int i = 0; i < kWords; ++i) {
            float some[kEach];
#pragma unroll
            for (int k = 0; k < kEach; ++k) {
                some[k] = values[i * kEach + k];
            }
            octet.word[i] = Element::narrow_word(some);
        }
        return octet;
    }
    /// From as many 16-byte vectors as it has.
    static OPFORGE_DEVICE Octet of_vectors(const uint4* vectors) {
        Octet octet;
#pragma unroll
        for (int i = 0; i < kWords / 4; ++i) {
            octet.word[4 * i] = vectors[i].x;
            octet.word[4 * i + 1] = vectors[i].y;
            octet.word[4 * i + 2] = vectors[i].z;
            octet.word[4 * i + 3] = vectors[i].w;
        }
        return octet;
    }
    /// Place by place, each sum rounded to the format.
    OPFORGE_DEVICE void add(const Octet& other) {
#pragma unroll
        for (int i = 0; i < kWords; ++i) {
            word[i] = Element::add_word(word[i], other.word[i]);
        }
    }
};

/// `aligned`, `count`: as of a chunk.
template <class Element>
OPFORGE_DEVICE Octet<Element> load_octet(const typename Element::Raw* from, u32 count,
                                         bool aligned) {
    using Part = Chunk<Element>;
    Octet<Element> octet;
#pragma unroll
    for (int part = 0; part < 8 / Part::kCount; ++part) {
        const Part chunk =
            load_chunk<Element>(from, static_cast<u32>(part * Part::kCount), count, aligned);
#pragma unroll
        for (int i = 0; i < Part::kWords; ++i) {
            octet.word[part * Part::kWords + i] = chunk.word[i];
        }
    }
    return octet;
}

/// An aligned octet, as load_chunk_once where it is one chunk. Two chunks share 32 bytes.
template <class Element>
OPFORGE_DEVICE Octet<Element> load_octet_once(const typename Element::Raw* from) {
    if constexpr (Octet<Element>::kWords == Chunk<Element>::kWords) {
        const uint4 vector = load_chunk_once<Element>(from).vector();
        return Octet<Element>::of_vectors(&vector);
    } else {
        return load_octet<Element>(from, 8, true);
    }
}

template <class Element>
OPFORGE_DEVICE void store_octet(typename Element::Raw* to, const Octet<Element>& octet, u32 count,
                                bool aligned) {
    using Part = Chunk<Element>;
#pragma unroll
    for (int part = 0; part < 8 / Part::kCount; ++part) {
        Part chunk;
#pragma unroll
        for (int i = 0; i < Part::kWords; ++i) {
            chunk.word[i] = octet.word[part * Part::kWords + i];
        }
        const u32 first = static_cast<u32>(part * Part::kCount);
        if (aligned) {
            // A plain store of a vector may become four of a word.
            asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
                         :
                         : "l"(to + first), "r"(chunk.word[0]), "r"(chunk.word[1]),
                           "r"(chunk.word[2]), "r"(chunk.word[3])
                         : "memory");
        } else {
            store_chunk<Element>(to + first, chunk, first < count ? count - first : 0, false);
        }
    }
}

}  // namespace opforge
