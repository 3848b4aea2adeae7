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
constexpr u32 kThreads = 256;
constexpr u32 kBatch = 4;  // chunks of a thread, whose codes are under way at once

/// kBits: of a code; 0: `bits` says.
template <u32 kBits>
OPFORGE_DEVICE Elements decode_chunk(PackedCodes packed, u32 bits, const Record& by) {
    constexpr int kEach = ProgramElement::kPerWord;
    float code[kCount];
    unpack(packed, kBits == 0 ? bits : kBits, code);
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

/// A thread's chunks, each with its own group's record, `kThreads` apart. Of aligned tensors.
template <u32 kBits>
OPFORGE_DEVICE void decode_chunks(const kernels::DequantizeArguments& arguments) {
    const u32 first = blockIdx.x * (kBatch * kThreads) + threadIdx.x;
    PackedCodes packed[kBatch];
    Record by[kBatch];
#pragma unroll
    for (u32 k = 0; k < kBatch; ++k) {
        const u32 chunk = first + k * kThreads;
        if (chunk < arguments.chunks) {
            const u64 codes = static_cast<u64>(chunk) * (kCount * kBits / 8);
            packed[k] = load_codes<kCount>(arguments.codes + codes, kBits, kCount, true);
            by[k] = Record(arguments.params, divide_small(chunk, arguments.by_chunks));
        }
    }
#pragma unroll
    for (u32 k = 0; k < kBatch; ++k) {
        const u32 chunk = first + k * kThreads;
        if (chunk < arguments.chunks) {
            store_chunk<ProgramElement>(static_cast<Raw*>(arguments.output) +
                                            static_cast<u64>(chunk) * kCount,
                                        decode_chunk<kBits>(packed[k], kBits, by[k]), kCount, true);
        }
    }
}

/// One of `lanes` threads' part of a slice: chunks `lanes` apart. `codes`, `output`, `count`: from
/// the thread's first chunk on. Of any tensors.
OPFORGE_DEVICE void decode_slice(const unsigned char* codes, Raw* output, u32 count, u32 lanes,
                                 u32 bits, const Record& by) {
    const u32 stride = kCount * lanes;
#pragma unroll 1
    for (u32 place = 0; place < count; place += stride) {
        const u32 here = count_from(place, count, kCount);
        const PackedCodes packed = load_codes<kCount>(codes, bits, here, false);
        codes += stride * bits / 8;
        store_chunk<ProgramElement>(output + place, decode_chunk<0>(packed, bits, by), here, false);
    }
}

OPFORGE_DEVICE void decode_slices(const kernels::DequantizeArguments& arguments) {
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
        decode_slice(codes, output, static_cast<u32>(slice.end - first), launch.lanes, bits, by);
    }
}

}  // namespace

// Launch: block = kThreads. Grid: every chunk of a thread, or strides over groups * slices, of
// `lanes` threads each.
OPFORGE_KERNEL(slices, kThreads)(const __grid_constant__ kernels::DequantizeArguments arguments) {
    if (arguments.chunks == 0) {
        decode_slices(arguments);
    } else if (arguments.bits == 8) {
        decode_chunks<8>(arguments);
    } else if (arguments.bits == 4) {
        decode_chunks<4>(arguments);
    } else {
        decode_chunks<2>(arguments);
    }
}

}  // namespace opforge
