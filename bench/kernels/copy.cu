// The limit that every op is measured against: `bytes` bytes read and written, sixteen a thread and
// step, four steps under way.
//   input, output: 16-byte aligned; count: 16-byte vectors
// Launch: block = 256, no dynamic shared memory.
extern "C" __global__ void __launch_bounds__(256)
    opforge_bench_copy(const uint4* __restrict__ input, uint4* __restrict__ output,
                       long long count) {
    constexpr int kSteps = 4;
    const long long first = static_cast<long long>(blockIdx.x) * blockDim.x * kSteps + threadIdx.x;
    uint4 held[kSteps];
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
        const long long place = first + static_cast<long long>(i) * blockDim.x;
        if (place < count) {
            held[i] = input[place];
        }
    }
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
        const long long place = first + static_cast<long long>(i) * blockDim.x;
        if (place < count) {
            output[place] = held[i];
        }
    }
}
