// The codes and records of one thread from device after device, several devices' under way at once:
// in dynamic shared memory, where they cost no register.
#pragma once

#include "opforge/kernels/async_copy.cuh"
#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// kBits, kOctets: a run's. Launch: dynamic shared memory of ring_bytes() for each thread of a
/// block.
template <u32 kBits, int kOctets, class Record>
class DeviceRing {
    static constexpr u32 kBytes = kBits * kOctets;
    static constexpr u32 kPiece = kBytes < 16 ? kBytes : 16;
    static constexpr u32 kPieces = kBytes / kPiece;

public:
    static constexpr u32 kDepth = 32 / kBits;

    OPFORGE_DEVICE explicit DeviceRing(unsigned char* shared)
        : codes_(shared + threadIdx.x * kPiece),
          records_(reinterpret_cast<float*>(shared + kDepth * kBytes * blockDim.x) + threadIdx.x) {}

    OPFORGE_DEVICE void fetch(u32 slot, const unsigned char* codes, const float* record) {
#pragma unroll
        for (u32 i = 0; i < kPieces; ++i) {
            copy_async<kPiece, (kPieces > 1)>(piece(slot, i), codes + i * kPiece);
        }
#pragma unroll
        for (u32 i = 0; i < Record::kFloats; ++i) {
            copy_async<4, true>(number(slot, i), record + i);
        }
    }
    OPFORGE_DEVICE void read(u32 slot, PackedCodes (&codes)[kOctets], Record& record) const {
        u32 words[kBytes / 4];
#pragma unroll
        for (u32 i = 0; i < kPieces; ++i) {
            if constexpr (kPiece == 16) {
                const uint4 four = *reinterpret_cast<const uint4*>(piece(slot, i));
                words[4 * i] = four.x;
                words[4 * i + 1] = four.y;
                words[4 * i + 2] = four.z;
                words[4 * i + 3] = four.w;
            } else {
                const uint2 two = *reinterpret_cast<const uint2*>(piece(slot, i));
                words[2 * i] = two.x;
                words[2 * i + 1] = two.y;
            }
        }
#pragma unroll
        for (int i = 0; i < kOctets; ++i) {
            codes[i] = kBits == 8 ? PackedCodes{words[i * kBits / 4], words[i * kBits / 4 + 1]}
                                  : PackedCodes{words[i * kBits / 4], 0};
        }
        float numbers[Record::kFloats];
#pragma unroll
        for (u32 i = 0; i < Record::kFloats; ++i) {
            numbers[i] = *number(slot, i);
        }
        record = Record(numbers, 0);
    }

private:
    OPFORGE_DEVICE unsigned char* piece(u32 slot, u32 i) const {
        return codes_ + (slot * kPieces + i) * blockDim.x * kPiece;
    }
    OPFORGE_DEVICE float* number(u32 slot, u32 i) const {
        return records_ + (slot * Record::kFloats + i) * blockDim.x;
    }
    unsigned char* codes_;
    float* records_;
};

}  // namespace opforge
