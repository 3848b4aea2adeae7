#include "factor.cuh"

template <class T>
__global__ void scale(const T* input, T* output, int count) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < count) {
        output[i] = scaled(input[i]);
    }
}
