// dequantize: codes and records to values of a format. Defines: program.cuh (the element is the
// output's). One kernel, <program>. Formulas: contract, section 5.
#include "opforge/kernels/chunk.cuh"
#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_parameters.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/quantize_arguments.cuh"

namespace opforge {
#if OPFORGE_ASYMMETRIC
using Record = AsymmetricRecord;
#else
using Record = SymmetricRecord;
#endif

namespace {

using Raw = ProgramElement::Raw;
using Elements = Chunk<ProgramElement>;
constexpr int kCount = Elements::kCount;
constexpr u32 kBatch = 4;  // chunks whose codes are under way at once

OPFORGE_DEVICE Elements decode_chunk(PackedCodes packed, u32 bits, const Record& by) {
    constexpr int kEach = ProgramElement::kPerWord;
    float code[kCount];
    unpack(packed, bits, code);
    Elements values;
#pragma unroll
    for (int i = 0; i < Elements::kWords; ++i) {
        float decoded[kEach];
#pragma unroll
        for (int k = 0; k < kEach; ++k) {
            decoded[k] = by.decode(code[i * kEach + k]);
        }
        values.word[i] = ProgramElement::narrow_word(decoded);
    }
    return values;
}

/// One of `lanes` threads' part of a slice: chunks `lanes` apart, so that what a warp stores at
/// once lies side by side. `codes`, `output`, `count`: from the thread's first chunk on.
OPFORGE_DEVICE void decode_whole_chunks(const unsigned char* codes, Raw* output, u32 count,
                                        u32 lanes, u32 bits, const Record& by) {
    const u32 stride = kCount * lanes;
    const u32 code_stride = stride * bits / 8;
#pragma unroll 1
    for (u32 place = 0; place < count; place += kBatch * stride) {
        PackedCodes packed[kBatch];
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (place + k * stride < count) {
                packed[k] = load_codes<kCount>(codes + k * code_stride, bits, kCount, true);
            }
        }
        codes += kBatch * code_stride;
#pragma unroll
        for (u32 k = 0; k < kBatch; ++k) {
            if (place + k * stride < count) {
                store_chunk<ProgramElement>(output + place + k * stride,
                                            decode_chunk(packed[k], bits, by), kCount, true);
            }
        }
    }
}

OPFORGE_DEVICE void decode_any_chunks(const unsigned char* codes, Raw* output, u32 count, u32 lanes,
                                      u32 bits, const Record& by) {
    const u32 stride = kCount * lanes;
#pragma unroll 1
    for (u32 place = 0; place < count; place += stride) {
        const u32 here = count_from(place, count, kCount);
        const PackedCodes packed = load_codes<kCount>(codes, bits, here, false);
        codes += stride * bits / 8;
        store_chunk<ProgramElement>(output + place, decode_chunk(packed, bits, by), here, false);
    }
}

}  // namespace

// Launch: block = 256, `lanes` threads a slice. Grid strides over groups * slices.
OPFORGE_KERNEL(slices, 256)(const __grid_constant__ kernels::DequantizeArguments arguments) {
    const kernels::GroupLaunch& launch = arguments.launch;
    const u32 bits = arguments.bits;
    const u32 sub = team_of_thread(launch.lanes);
    const u32 lane = threadIdx.x - sub * launch.lanes;
    const u32 slices_a_block = teams_of_block(launch.lanes);
    const i64 tiles = launch.groups * launch.slices;
    for (i64 tile = static_cast<i64>(blockIdx.x) * slices_a_block + sub; tile < tiles;
         tile += static_cast<i64>(gridDim.x) * slices_a_block) {
        const GroupSlice slice = slice_of(tile, launch, arguments.by_slices);
        const i64 first = slice.begin + kCount * lane;
        if (first >= slice.end) {
            continue;
        }
        const Record by(arguments.params, slice.group);
        const unsigned char* const codes =
            arguments.codes + slice.group * (launch.group_size * bits / 8) + first / 4 * bits / 2;
        Raw* const output =
            static_cast<Raw*>(arguments.output) + slice.group * launch.group_size + first;
        const u32 count = static_cast<u32>(slice.end - first);
        if (launch.aligned != 0) {
            decode_whole_chunks(codes, output, count, launch.lanes, bits, by);
        } else {
            decode_any_chunks(codes, output, count, launch.lanes, bits, by);
        }
    }
}

}  // namespace opforge
