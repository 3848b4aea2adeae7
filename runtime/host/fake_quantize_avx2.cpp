#define OPFORGE_HOST_KERNELS kFakeQuantizeAvx2
#define OPFORGE_HOST_INSTRUCTIONS "avx2"
#include "fake_quantize_simd.inl"
