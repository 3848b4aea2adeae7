#define OPFORGE_HOST_KERNELS kQuantizeBaseline
#define OPFORGE_HOST_INSTRUCTIONS "baseline"
#include "quantize_kernels.inl"
