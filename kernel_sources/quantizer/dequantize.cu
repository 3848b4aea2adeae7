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

// Launch: block = 256, `lanes` threads a slice. Grid strides over groups * slices.
OPFORGE_KERNEL(slices, 256)(const __grid_constant__ kernels::DequantizeArguments arguments) {
    using Raw = ProgramElement::Raw;
    using Elements = Chunk<ProgramElement>;
    constexpr int kCount = Elements::kCount;
    constexpr int kEach = ProgramElement::kPerWord;
    const kernels::GroupLaunch& launch = arguments.launch;
    const u32 bits = arguments.bits;
    const bool aligned = launch.aligned != 0;
    const u32 sub = team_of_thread(launch.lanes);
    const u32 lane = threadIdx.x - sub * launch.lanes;
    const u32 slices_a_block = teams_of_block(launch.lanes);
    const i64 tiles = launch.groups * launch.slices;
    for (i64 tile = static_cast<i64>(blockIdx.x) * slices_a_block + sub; tile < tiles;
         tile += static_cast<i64>(gridDim.x) * slices_a_block) {
        const GroupSlice slice = slice_of(tile, launch);
        const Record by(arguments.params, slice.group);
        const unsigned char* codes = arguments.codes + slice.group * (launch.group_size * bits / 8);
        Raw* output = static_cast<Raw*>(arguments.output) + slice.group * launch.group_size;
        // A chunk a step: what a warp stores at once lies side by side.
#pragma unroll 1
        for (i64 place = slice.begin + kCount * lane; place < slice.end;
             place += kCount * launch.lanes) {
            const u32 count = count_from(place, slice.end, kCount);
            float code[kCount];
            unpack(load_codes<kCount>(codes + place / 4 * bits / 2, bits, count, aligned), bits,
                   code);
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
            store_chunk<ProgramElement>(output + place, values, count, aligned);
        }
    }
}

}  // namespace opforge
