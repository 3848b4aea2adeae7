// What the kernels of every op that turns groups of values into codes have in common. They go over
// a Source that says where the values come from:
//   Format      the format of the values
//   Loaded      eight values and what belongs to them: Octet<Format> values, ...
//   kRun        neighbouring octets that a thread takes together
//   kBatch      octets that a thread has under way at once, a multiple of kRun
//   kBlocks     blocks of 512 threads that should be resident at once, as far as registers allow
//   Share       of one thread in an aligned group, from octet `first` of it on:
//     Share(arguments, group, out, first)  of a group that is written as group `out`
//     settle()                             addresses stay in registers, are not computed again
//     load(place, Loaded (&)[kBatch])      what is not there stays as it was, or is anything
//   load_any(arguments, group, out, place, count)   eight values of any group
//   kTwoBits    whether codes may have 2 bits: else 8 or 4
//   kFeedback   whether something is left to do once codes are known:
//     Share::keep(place, number of the octet, loaded, decoded)
//     keep_any(arguments, out, place, count, loaded, decoded)
// and Parameters, symmetric or asymmetric.
#pragma once

#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_parameters.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/octet.cuh"
#include "opforge/kernels/quantize_arguments.cuh"

namespace opforge {

using kernels::QuantizeArguments;

/// Where the group is written: contract, section 7. Index: u32 for fewer than 2^31 groups, or i64.
template <class Index>
OPFORGE_DEVICE Index output_group(Index group, const kernels::SwizzleArguments& by) {
    if (by.contiguous == 0) {
        return group;
    }
    const Index contiguous = static_cast<Index>(by.contiguous);
    const Index pipeline_size = static_cast<Index>(by.pipeline_size);
    const Index devices = static_cast<Index>(by.devices_per_node);
    const Index chunk = divide(group, contiguous, by.by_contiguous);
    const Index partition = divide(chunk, pipeline_size, by.by_pipeline_size);
    const Index slice = chunk - partition * pipeline_size;
    const Index node = divide(partition, devices, by.by_devices_per_node);
    const Index device = partition - node * devices;
    return ((slice * devices + device) * static_cast<Index>(by.nodes) + node) * contiguous +
           (group - chunk * contiguous);
}

/// An octet's positions among the codes. `bounds`: where their decoded values are needed, too, else
/// pack() saturates. `draws`: of stochastic rounding, which makes positions integral.
template <bool kStochastic, bool kFeedback, class Element, class Parameters>
OPFORGE_DEVICE void locate_octet(const Octet<Element>& octet, const Parameters& by,
                                 const CodeBounds<Parameters>& bounds, const float (&draws)[8],
                                 float (&position)[8]) {
    octet.widen(position);
    constexpr float kMost = 127.0f;  // of any width
    by.locate(position, kFeedback ? bounds.high : kMost);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        if (kStochastic) {
            position[i] = round_stochastic(position[i], draws[i]);
        }
        if (kFeedback) {
            position[i] = bounds.saturate(position[i]);
        }
    }
}

/// Of positions within the bounds.
template <class Parameters>
OPFORGE_DEVICE void decode_octet(const float (&position)[8], const Parameters& by,
                                 float (&decoded)[8]) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        decoded[i] = by.decode(round_half_even(position[i]));
    }
}

}  // namespace opforge
