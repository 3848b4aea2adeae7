// Sixteen bytes of a tensor, in registers: the unit in which memory moves. Words, not elements: an
// array of 16-bit elements is taken apart by the compiler into as many loads.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

template <class Element>
struct Chunk {
    static constexpr int kWords = 4;
    static constexpr int kCount = kWords * Element::kPerWord;
    u32 word[kWords];

    static OPFORGE_DEVICE Chunk of(const uint4& vector) {
        return {{vector.x, vector.y, vector.z, vector.w}};
    }
    OPFORGE_DEVICE uint4 vector() const { return make_uint4(word[0], word[1], word[2], word[3]); }
};

/// Moves every element of a chunk one place down, `raw` into the last. With it the slow paths below
/// go through a chunk in a loop that is not unrolled, which a compile is a quarter faster for.
template <class Element>
OPFORGE_DEVICE void shift_in(Chunk<Element>& chunk, u32 raw) {
    if (Element::kPerWord == 2) {
        chunk.word[0] = __funnelshift_r(chunk.word[0], chunk.word[1], 16);
        chunk.word[1] = __funnelshift_r(chunk.word[1], chunk.word[2], 16);
        chunk.word[2] = __funnelshift_r(chunk.word[2], chunk.word[3], 16);
        chunk.word[3] = chunk.word[3] >> 16 | raw << 16;
    } else {
        chunk.word[0] = chunk.word[1];
        chunk.word[1] = chunk.word[2];
        chunk.word[2] = chunk.word[3];
        chunk.word[3] = raw;
    }
}

/// The chunk from element `first` on of a run of `count` elements, one at least. `aligned`: all of
/// the chunk's elements are there, at a 16-byte boundary; the same for the whole launch. Else what
/// is missing is a copy of the run's first element, the same one in every chunk of a run: it
/// changes no range, nor does it where two runs are added.
template <class Element>
OPFORGE_DEVICE Chunk<Element> load_chunk(const typename Element::Raw* from, u32 first, u32 count,
                                         bool aligned) {
    Chunk<Element> chunk{};
    if (aligned) {
        const uint4 words = *reinterpret_cast<const uint4*>(from + first);
        chunk.word[0] = words.x;
        chunk.word[1] = words.y;
        chunk.word[2] = words.z;
        chunk.word[3] = words.w;
    } else {
#pragma unroll 1
        for (u32 i = first; i < first + Chunk<Element>::kCount; ++i) {
            shift_in(chunk, from[i < count ? i : 0]);
        }
    }
    return chunk;
}

/// An aligned chunk that is read once and used by one thread: L1 keeps none of it. Not where a
/// neighbour's chunk lies in the same 32 bytes and is read by another instruction.
template <class Element>
OPFORGE_DEVICE Chunk<Element> load_chunk_once(const typename Element::Raw* from) {
    Chunk<Element> chunk;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(chunk.word[0]), "=r"(chunk.word[1]), "=r"(chunk.word[2]),
                   "=r"(chunk.word[3])
                 : "l"(from));
    return chunk;
}

/// An aligned chunk. kOnce: as load_chunk_once.
template <class Element, bool kOnce>
OPFORGE_DEVICE Chunk<Element> load_aligned(const typename Element::Raw* from) {
    if constexpr (kOnce) {
        return load_chunk_once<Element>(from);
    } else {
        return load_chunk<Element>(from, 0, Chunk<Element>::kCount, true);
    }
}

template <class Element>
OPFORGE_DEVICE void store_chunk(typename Element::Raw* to, Chunk<Element> chunk, u32 count,
                                bool aligned) {
    if (aligned) {
        *reinterpret_cast<uint4*>(to) = chunk.vector();
    } else {
#pragma unroll 1
        for (u32 i = 0; i < count; ++i) {
            to[i] = static_cast<typename Element::Raw>(chunk.word[0]);
            shift_in(chunk, 0);
        }
    }
}

}  // namespace opforge
