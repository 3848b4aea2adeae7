#define OPFORGE_HOST_KERNELS kFakeQuantizeBaseline
#define OPFORGE_HOST_INSTRUCTIONS "baseline"
#include "fake_quantize_kernels.inl"
