#define OPFORGE_HOST_KERNELS kQuantizeAvx2
#define OPFORGE_HOST_INSTRUCTIONS "avx2"
#include "quantize_kernels.inl"
