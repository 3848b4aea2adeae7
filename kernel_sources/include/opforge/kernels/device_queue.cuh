// The codes and records of one thread from device after device, several devices' under way at once,
// in registers: which of them is next is known to the compiler, so that nothing is counted.
#pragma once

#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/types.cuh"

namespace opforge {

/// kBits, kOctets: a run's. kDepth: how many devices' are under way.
template <u32 kBits, int kOctets, u32 kDepth, class Record>
class DeviceQueue {
    static constexpr u32 kBytes = kBits * kOctets;

public:
    OPFORGE_DEVICE DeviceQueue(const unsigned char* codes, const float* record, i64 codes_stride,
                               i64 record_stride)
        : codes_(codes), record_(record), codes_stride_(codes_stride),
          record_stride_(record_stride) {}

    /// The next device's, into place `slot`.
    OPFORGE_DEVICE void fetch(u32 slot) {
        if constexpr (kBytes >= 16) {
#pragma unroll
            for (u32 i = 0; i < kBytes / 16; ++i) {
                // Used once, so that L1 drops it first. Of 4 bits, instructions are the limit.
                const uint4* const place = reinterpret_cast<const uint4*>(codes_) + i;
                const uint4 four = kBits == 8 ? __ldcs(place) : *place;
                words_[slot][4 * i] = four.x;
                words_[slot][4 * i + 1] = four.y;
                words_[slot][4 * i + 2] = four.z;
                words_[slot][4 * i + 3] = four.w;
            }
        } else {
            const uint2 two = *reinterpret_cast<const uint2*>(codes_);
            words_[slot][0] = two.x;
            words_[slot][1] = two.y;
        }
        records_[slot] = Record(record_, 0);
        codes_ += codes_stride_;
        record_ += record_stride_;
    }
    OPFORGE_DEVICE void take(u32 slot, PackedCodes (&codes)[kOctets], Record& record) const {
#pragma unroll
        for (int i = 0; i < kOctets; ++i) {
            codes[i] = kBits == 8 ? PackedCodes{words_[slot][i * kBits / 4],
                                                words_[slot][i * kBits / 4 + 1]}
                                  : PackedCodes{words_[slot][i * kBits / 4], 0};
        }
        record = records_[slot];
    }

private:
    const unsigned char* codes_;
    const float* record_;
    i64 codes_stride_;
    i64 record_stride_;  // floats
    u32 words_[kDepth][kBytes / 4];
    Record records_[kDepth];
};

}  // namespace opforge
