#define OPFORGE_HOST_KERNELS kQuantizeAvx512
#define OPFORGE_HOST_INSTRUCTIONS "avx512"
#include "quantize_kernels.inl"
