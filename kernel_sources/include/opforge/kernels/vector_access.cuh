// A run of elements cut into chunks of sixteen bytes, whatever its alignment: the first chunk ends
// at a 16-byte boundary, the last holds what is left. Whole chunks move as vectors, the two at the
// ends element by element, through the same registers: what is done to a chunk is compiled once.
#pragma once

#include "opforge/kernels/types.cuh"

namespace opforge {

constexpr int kVectorBytes = 16;

/// Sixteen bytes of raw elements, in registers.
template <class Raw>
struct alignas(kVectorBytes) Vector {
    static constexpr int kCount = kVectorBytes / static_cast<int>(sizeof(Raw));
    Raw raw[kCount];
};

/// A run as it is read from `input` and written to `output` (which may be the same memory). Where
/// the two are misaligned unlike each other, no chunk moves as a vector.
template <class Raw>
class ChunkedRun {
public:
    using Chunk = Vector<Raw>;

    OPFORGE_DEVICE ChunkedRun(const Raw* input, Raw* output, i64 count)
        : input_(input), output_(output), count_(count) {
        const u32 from = static_cast<u32>(reinterpret_cast<u64>(input)) % kVectorBytes;
        const u32 to = static_cast<u32>(reinterpret_cast<u64>(output)) % kVectorBytes;
        vectors_ = from == to;
        lead_ = from / static_cast<u32>(sizeof(Raw));
    }

    OPFORGE_DEVICE i64 chunks() const {
        return count_ > 0 ? (count_ + lead_ + Chunk::kCount - 1) / Chunk::kCount : 0;
    }
    /// The run's index of the chunk's first place; negative for a first chunk that begins before
    /// the run does.
    OPFORGE_DEVICE i64 place(i64 chunk) const { return chunk * Chunk::kCount - lead_; }

    /// Places outside the run get a copy of an element inside it: they do not change a range.
    OPFORGE_DEVICE Chunk load(i64 chunk) const {
        const i64 at = place(chunk);
        Chunk result;
        if (moves_as_vector(at)) {
            result = *reinterpret_cast<const Chunk*>(input_ + at);
        } else {
            const Raw inside = input_[at < 0 ? 0 : at];
#pragma unroll
            for (int i = 0; i < Chunk::kCount; ++i) {
                result.raw[i] = contains(at + i) ? input_[at + i] : inside;
            }
        }
        return result;
    }

    OPFORGE_DEVICE void store(i64 chunk, const Chunk& values) const {
        const i64 at = place(chunk);
        if (moves_as_vector(at)) {
            *reinterpret_cast<Chunk*>(output_ + at) = values;
        } else {
#pragma unroll
            for (int i = 0; i < Chunk::kCount; ++i) {
                if (contains(at + i)) {
                    output_[at + i] = values.raw[i];
                }
            }
        }
    }

private:
    OPFORGE_DEVICE bool contains(i64 at) const {
        return static_cast<u64>(at) < static_cast<u64>(count_);
    }
    OPFORGE_DEVICE bool moves_as_vector(i64 at) const {
        return vectors_ && at >= 0 && at + Chunk::kCount <= count_;
    }

    const Raw* input_;
    Raw* output_;
    i64 count_;
    u32 lead_;  // elements from the 16-byte boundary at or before the run to its first element
    bool vectors_;
};

}  // namespace opforge
