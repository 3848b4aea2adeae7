// dequantize_int4_to_half_experimental and dequantize_int8_to_half_experimental: unsigned codes,
// y = f16(f16(u / scale) + min). One program, one kernel, for both widths. Formulas: contract,
// section 6. Through float: 24 bits are more than twice fp16's 11 plus two, so that rounding first
// to float and then to fp16 gives the quotient and the sum correctly rounded.
#define OPFORGE_ELEMENT 0
#include "opforge/kernels/codes.cuh"
#include "opforge/kernels/group_slice.cuh"
#include "opforge/kernels/octet.cuh"
#include "opforge/kernels/program.cuh"
#include "opforge/kernels/quantize_arguments.cuh"

namespace opforge {

// Launch: as dequantize.
OPFORGE_KERNEL(slices, 256)
(const __grid_constant__ kernels::ExperimentalDequantizeArguments arguments) {
    const kernels::GroupLaunch& launch = arguments.launch;
    const u32 bits = arguments.bits;
    const bool aligned = launch.aligned != 0;
    const u32 sub = team_of_thread(launch.lanes);
    const u32 lane = threadIdx.x - sub * launch.lanes;
    const u32 slices_a_block = teams_of_block(launch.lanes);
    const i64 tiles = launch.groups * launch.slices;
    for (i64 tile = static_cast<i64>(blockIdx.x) * slices_a_block + sub; tile < tiles;
         tile += static_cast<i64>(gridDim.x) * slices_a_block) {
        const GroupSlice slice = slice_of(tile, launch, arguments.by_slices);
        const float scale = Fp16::widen(arguments.scale[slice.group]);
        const float low = Fp16::widen(arguments.min[slice.group]);
        const unsigned char* codes = arguments.codes + slice.group * (launch.group_size * bits / 8);
        u16* output = arguments.output + slice.group * launch.group_size;
#pragma unroll 1
        for (i64 place = slice.begin + 8 * lane; place < slice.end; place += 8 * launch.lanes) {
            const u32 count = count_from(place, slice.end, 8);
            float code[8];
            unpack_unsigned(load_codes<8>(codes + place / 8 * bits, bits, count, aligned), bits,
                            code);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                code[i] = Fp16::widen(Fp16::narrow(code[i] / scale)) + low;
            }
            store_octet(output + place, Octet<Fp16>::narrow(code), count, aligned);
        }
    }
}

}  // namespace opforge
