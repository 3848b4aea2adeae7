// Integer types by width, and the one attribute that every device function carries.
// Hermetic: NVRTC gets no toolkit header (cuda_fp16.h alone costs 10 ms a compile).
#pragma once

#define OPFORGE_DEVICE __device__ __forceinline__

namespace opforge {

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

static_assert(sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8, "widths");

}  // namespace opforge
