// The sum of several devices' codes: a source, see group_quantize.cuh. a = +0, then for each device
// in order a = W(a + W(decoded)): contract, section 8.
#pragma once

#include "opforge/kernels/batch_place.cuh"
#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/device_queue.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/octet.cuh"
#include "opforge/kernels/quantize_arguments.cuh"

namespace opforge {

/// Record: of the codes that are summed. kOctets: that a thread sums at once, 2 or 4 neighbours,
/// whose codes of a device are one load of 16 bytes or two. kDepth: devices under way at once.
template <class Element, class Record, int kOctets, u32 kDepth>
struct SumSource {
    using Format = Element;
    struct Loaded {
        Octet<Element> values;
    };
    static constexpr u32 kBlocks = 2;
    static constexpr bool kFeedback = false;
    static constexpr bool kTwoBits = false;
    static constexpr int kRun = kOctets;
    static constexpr int kBatch = kOctets;
    static constexpr u32 kVectors = 0;  // nothing that memory has

    class Share {
    public:
        OPFORGE_DEVICE Share(const kernels::QuantizeArguments& arguments, i64 group, i64, u32 first)
            : from_(arguments.reduction), bits_(arguments.bits),
              start_(static_cast<u32>(group * (arguments.launch.group_size / 8)) + first) {}

        OPFORGE_DEVICE void settle() {}
        /// Every run lies within one record.
        OPFORGE_DEVICE void load(const BatchPlace& place, Loaded (&loaded)[kBatch]) const {
            if (!place.has(0)) {
                return;
            }
            if (bits_ == 8) {
                sum_devices<8>(start_ + place.at(0), loaded);
            } else {
                sum_devices<4>(start_ + place.at(0), loaded);
            }
        }

    private:
        /// Device after device, the codes of the next ones under way.
        template <u32 kBits>
        OPFORGE_DEVICE void sum_devices(u32 octet, Loaded (&loaded)[kBatch]) const {
            using Queue = DeviceQueue<kBits, kRun, kDepth, Record>;
            const u32 devices = static_cast<u32>(from_.devices);
            Queue queue(from_.codes + static_cast<i64>(octet) * kBits,
                        from_.params + Record::kFloats * divide_small(octet / kRun, from_.by_runs),
                        from_.elements / 8 * kBits, from_.groups * Record::kFloats);
#pragma unroll
            for (u32 slot = 0; slot < kDepth; ++slot) {
                if (slot < devices) {
                    queue.fetch(slot);
                }
            }
#pragma unroll
            for (int i = 0; i < kRun; ++i) {
                loaded[i].values = {};
            }
#pragma unroll 1
            for (u32 device = 0; device < devices; device += kDepth) {
#pragma unroll
                for (u32 slot = 0; slot < kDepth; ++slot) {
                    if (device + slot >= devices) {
                        break;
                    }
                    PackedCodes packed[kRun];
                    Record by;
                    queue.take(slot, packed, by);
                    if (device + slot + kDepth < devices) {
                        queue.fetch(slot);
                    }
                    by = by.template for_sum<Element>();
#pragma unroll
                    for (int i = 0; i < kRun; ++i) {
                        float code[8];
                        unpack_tiny<kBits>(packed[i], code);
                        by.template decode_tiny<Element, kBits>(code);
                        loaded[i].values.add(Octet<Element>::narrow(code));
                    }
                }
            }
        }

        const kernels::ReductionArguments& from_;
        u32 bits_;
        u32 start_;  // the thread's first octet, of a device's tensor
    };

    static OPFORGE_DEVICE Loaded load_any(const kernels::QuantizeArguments& arguments, i64 group,
                                          i64, i64 place, u32 count) {
        const kernels::ReductionArguments& from = arguments.reduction;
        const u32 bits = arguments.bits;
        const i64 first = group * arguments.launch.group_size + place;
        const i64 record = divide(first, from.group_size);
        // Of the octet's elements, how many belong to the first one's record.
        const i64 left = (record + 1) * from.group_size - first;
        // A device's tensor need not fill whole octets, but fills whole bytes.
        const i64 stride = from.elements * bits / 8;
        const unsigned char* codes = from.codes + first * bits / 8;
        const bool whole = arguments.launch.aligned != 0 && count == 8;
        Octet<Element> sum{};
#pragma unroll 1
        for (i64 device = 0; device < from.devices; ++device) {
            float code[8];
            unpack(load_codes<8>(codes + device * stride, bits, count, whole), bits, code);
            i64 at = device * from.groups + record;
            Record by(from.params, at);
            u32 end = count_from(0, left, 8);  // of the record, as an element of the octet
#pragma unroll
            for (u32 i = 0; i < 8; ++i) {
                if (i == end && i < count) {
                    ++at;
                    end += count_from(0, from.group_size, 8);
                    by = Record(from.params, at);
                }
                code[i] = by.decode(code[i]);
            }
            sum.add(Octet<Element>::narrow(code));
        }
        // What the octet lacks was summed from zero codes: it must not be in the range.
        float values[8];
        sum.widen(values);
#pragma unroll
        for (u32 i = 1; i < 8; ++i) {
            values[i] = i < count ? values[i] : values[0];
        }
        return {Octet<Element>::narrow(values)};
    }
};

}  // namespace opforge
