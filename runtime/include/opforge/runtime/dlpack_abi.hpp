// DLPack's structures, for programs that have no <dlpack/dlpack.h> of version 1.0 or newer: what
// such a header lacks is declared here, under DLPack's own names and with its layout (DLPack 1.1,
// https://dmlc.github.io/dlpack/latest/c_api.html). To be included after any header of DLPack's
// own, since those declare the same names.
#pragma once

#if __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#endif

#include <cstddef>
#include <cstdint>

// The names are DLPack's: NOLINTBEGIN(readability-identifier-naming)
#if !defined(DLPACK_VERSION) && !defined(DLPACK_MAJOR_VERSION)  // no header at all
enum DLDeviceType : std::int32_t { kDLCPU = 1, kDLCUDA = 2, kDLCUDAHost = 3, kDLCUDAManaged = 13 };
struct DLDevice {
    DLDeviceType device_type;
    std::int32_t device_id;
};
enum DLDataTypeCode { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4 };
struct DLDataType {
    std::uint8_t code;
    std::uint8_t bits;
    std::uint16_t lanes;
};
struct DLTensor {
    void* data;
    DLDevice device;
    std::int32_t ndim;
    DLDataType dtype;
    std::int64_t* shape;
    std::int64_t* strides;
    std::uint64_t byte_offset;
};
struct DLManagedTensor {
    DLTensor dl_tensor;
    void* manager_ctx;
    void (*deleter)(DLManagedTensor* self);
};
#endif

#if !defined(DLPACK_MAJOR_VERSION)  // none, or one older than 1.0
struct DLPackVersion {
    std::uint32_t major;
    std::uint32_t minor;
};
struct DLManagedTensorVersioned {
    DLPackVersion version;
    void* manager_ctx;
    void (*deleter)(DLManagedTensorVersioned* self);
    std::uint64_t flags;
    DLTensor dl_tensor;
};
#endif
// NOLINTEND(readability-identifier-naming)

namespace opforge::runtime {

// DLPack's flags and codes under names of our own: as macros and enumerators they exist in some
// versions of its header only.
inline constexpr std::uint32_t kDlpackMajor = 1;
inline constexpr std::uint32_t kDlpackMinor = 1;
inline constexpr std::uint64_t kDlpackReadOnly = 1U << 0U;
inline constexpr std::uint64_t kDlpackIsCopied = 1U << 1U;
inline constexpr std::uint64_t kDlpackSubBytePadded = 1U << 2U;
inline constexpr std::uint8_t kDlpackBool = 6;

// The layout is DLPack's binary interface on every 64-bit system; another one would read foreign
// memory wrongly.
static_assert(sizeof(DLDevice) == 8 && sizeof(DLDataType) == 4);
static_assert(offsetof(DLTensor, device) == 8 && offsetof(DLTensor, ndim) == 16 &&
              offsetof(DLTensor, dtype) == 20 && offsetof(DLTensor, shape) == 24 &&
              offsetof(DLTensor, strides) == 32 && offsetof(DLTensor, byte_offset) == 40 &&
              sizeof(DLTensor) == 48);
static_assert(offsetof(DLManagedTensor, manager_ctx) == 48 &&
              offsetof(DLManagedTensor, deleter) == 56);
static_assert(offsetof(DLManagedTensorVersioned, manager_ctx) == 8 &&
              offsetof(DLManagedTensorVersioned, deleter) == 16 &&
              offsetof(DLManagedTensorVersioned, flags) == 24 &&
              offsetof(DLManagedTensorVersioned, dl_tensor) == 32);

}  // namespace opforge::runtime
