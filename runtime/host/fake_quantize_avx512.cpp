#define OPFORGE_HOST_KERNELS kFakeQuantizeAvx512
#define OPFORGE_HOST_INSTRUCTIONS "avx512"
#include "fake_quantize_simd.inl"
