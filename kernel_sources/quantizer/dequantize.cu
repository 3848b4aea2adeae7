// dequantize: codes and records to values of a format. Defines: program.cuh (the element is the
// output's). One kernel, <program>. Formulas: contract, section 5.
#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_parameters.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/octet.cuh"
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
    const kernels::GroupLaunch& launch = arguments.launch;
    const u32 bits = arguments.bits;
    const bool aligned = launch.aligned != 0;
    const u32 sub = threadIdx.x / launch.lanes;
    const u32 lane = threadIdx.x - sub * launch.lanes;
    const u32 slices_a_block = blockDim.x / launch.lanes;
    const i64 tiles = launch.groups * launch.slices;
    for (i64 tile = static_cast<i64>(blockIdx.x) * slices_a_block + sub; tile < tiles;
         tile += static_cast<i64>(gridDim.x) * slices_a_block) {
        const GroupSlice slice = slice_of(tile, launch);
        const Record by(arguments.params, slice.group);
        const unsigned char* codes = arguments.codes + slice.group * (launch.group_size * bits / 8);
        Raw* output = static_cast<Raw*>(arguments.output) + slice.group * launch.group_size;
#pragma unroll 1
        for (i64 place = slice.begin + 8 * lane; place < slice.end; place += 8 * launch.lanes) {
            const u32 count = count_from(place, slice.end, 8);
            float code[8];
            unpack(load_codes(codes + place / 8 * bits, bits, count, aligned), bits, code);
            Octet values;
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                values.value[i] = by.decode(code[i]);
            }
            store_octet<ProgramElement>(output + place, values, count, aligned);
        }
    }
}

}  // namespace opforge
