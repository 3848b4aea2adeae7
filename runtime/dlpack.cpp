#include <opforge/runtime/dlpack.hpp>
#include <opforge/runtime/dlpack_abi.hpp>
#include <opforge/runtime/errors.hpp>

#include <fmt/format.h>

#include <array>
#include <bit>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace opforge::runtime {
namespace {

std::string spelled(const DLDataType& type) {
    return fmt::format("DLPack type code {} of {} bits x {} lanes", type.code, type.bits,
                       type.lanes);
}

// The dtypes of whole bytes; nullopt for all others.
std::optional<Dtype> dtype_of(const DLDataType& type) {
    struct Known {
        int code;
        int bits;
        Dtype dtype;
    };
    constexpr std::array<Known, 10> kKnown = {{{kDLFloat, 16, Dtype::float16},
                                               {kDLBfloat, 16, Dtype::bfloat16},
                                               {kDLFloat, 32, Dtype::float32},
                                               {kDLFloat, 64, Dtype::float64},
                                               {kDLInt, 8, Dtype::int8},
                                               {kDLUInt, 8, Dtype::uint8},
                                               {kDLInt, 16, Dtype::int16},
                                               {kDLInt, 32, Dtype::int32},
                                               {kDLInt, 64, Dtype::int64},
                                               {kDlpackBool, 8, Dtype::boolean}}};
    for (const Known& known : kKnown) {
        if (known.code == type.code && known.bits == type.bits && type.lanes == 1) {
            return known.dtype;
        }
    }
    return std::nullopt;
}

DLDataType type_of(Dtype dtype) {
    const auto bits = static_cast<std::uint8_t>(size_bytes(dtype) * 8);
    switch (dtype) {
    case Dtype::float16:
    case Dtype::float32:
    case Dtype::float64:
        return {kDLFloat, bits, 1};
    case Dtype::bfloat16:
        return {kDLBfloat, bits, 1};
    case Dtype::uint8:
        return {kDLUInt, bits, 1};
    case Dtype::boolean:
        return {kDlpackBool, bits, 1};
    case Dtype::int8:
    case Dtype::int16:
    case Dtype::int32:
    case Dtype::int64:
        break;
    }
    return {kDLInt, bits, 1};
}

Device device_of(const DLDevice& device) {
    switch (static_cast<int>(device.device_type)) {
    case 1:  // kDLCPU
    case 3:  // kDLCUDAHost: pinned, an ordinary address of the host
        return Device::cpu();
    case 2:   // kDLCUDA
    case 13:  // kDLCUDAManaged: the device that it was made on
        return Device::cuda(device.device_id);
    default:
        throw InvalidArgument(fmt::format("import a DLPack tensor: it is on a device of type {}; "
                                          "opforge takes host memory and CUDA's: copy it there",
                                          static_cast<int>(device.device_type)));
    }
}

// A stride means nothing where its dimension has one element, or where the tensor has none.
void check_strides(const DLTensor& tensor, std::span<const std::int64_t> shape,
                   std::int64_t elements) {
    if (tensor.strides == nullptr || elements == 0) {
        return;
    }
    std::int64_t expected = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
        if (shape[i] != 1 && tensor.strides[i] != expected) {
            throw InvalidArgument(fmt::format(
                "import a DLPack tensor: dimension {} has a stride of {} elements where "
                "row-major order without gaps has {}; make it contiguous first",
                i, tensor.strides[i], expected));
        }
        expected *= shape[i];
    }
}

// DLPack packs the first of two in the lower half of a byte, opforge's codes have it in the upper
// one: to take such a tensor for codes would swap their values.
[[noreturn]] void refuse_sub_byte(const DLDataType& type, std::uint64_t flags) {
    throw UnsupportedDtype(fmt::format(
        "import a DLPack tensor: {}, {}; opforge takes elements of whole bytes, and codes as int8 "
        "with the first one in the highest bits: repack it",
        spelled(type),
        (flags & kDlpackSubBytePadded) != 0 ? "each padded to a byte (flag IS_SUBBYTE_TYPE_PADDED)"
                                            : "packed with the first one in the lowest bits"));
}

TensorView view_of(const DLTensor& tensor, std::uint64_t flags) {
    if (tensor.ndim < 0 || tensor.ndim > static_cast<std::int32_t>(Shape::kMaxRank) ||
        (tensor.ndim > 0 && tensor.shape == nullptr)) {
        throw InvalidArgument(fmt::format("import a DLPack tensor: it has {} dimensions, or no "
                                          "shape; opforge takes up to {}: reshape it",
                                          tensor.ndim, Shape::kMaxRank));
    }
    const std::vector<std::int64_t> shape(tensor.shape, tensor.shape + tensor.ndim);
    const std::int64_t elements = Shape(shape).elements();
    check_strides(tensor, shape, elements);
    TensorView view;
    if (const std::optional<Dtype> dtype = dtype_of(tensor.dtype)) {
        view = {nullptr, *dtype, Shape(shape), {}};
    } else if (tensor.dtype.bits < 8) {
        refuse_sub_byte(tensor.dtype, flags);
    } else {
        throw UnsupportedDtype(fmt::format("import a DLPack tensor: {}; opforge takes floats of "
                                           "16, 32 and 64 bits, bfloat16, bool, "
                                           "int8 to int64 and uint8, of one lane: convert it first",
                                           spelled(tensor.dtype)));
    }
    view.device = device_of(tensor.device);
    view.read_only = (flags & kDlpackReadOnly) != 0;
    if (tensor.data != nullptr) {
        view.data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
    }
    return view;
}

// Calls the deleter at the end of its life, whatever happens before.
template <class Managed>
std::shared_ptr<void> adopt(Managed* tensor) {
    return {tensor, [](Managed* managed) {
                if (managed != nullptr && managed->deleter != nullptr) {
                    managed->deleter(managed);
                }
            }};
}

template <class Managed>
void refuse_null(const Managed* tensor) {
    if (tensor == nullptr) {
        throw InvalidArgument("import a DLPack tensor: the pointer is null");
    }
}

// What a lent tensor's deleter frees.
template <class Managed>
struct Lent {
    Managed managed{};
    std::array<std::int64_t, Shape::kMaxRank> shape{};
    std::array<std::int64_t, Shape::kMaxRank> strides{};
    std::shared_ptr<const void> owner;

    static void free(Managed* managed) noexcept { delete static_cast<Lent*>(managed->manager_ctx); }
};

template <class Managed>
Managed* lend(const TensorView& tensor, std::shared_ptr<const void> owner) {
    auto lent = std::make_unique<Lent<Managed>>();
    lent->owner = std::move(owner);
    const std::span<const std::int64_t> dimensions = tensor.shape.dimensions();
    std::int64_t stride = 1;
    for (std::size_t i = dimensions.size(); i-- > 0;) {
        lent->shape.at(i) = dimensions[i];
        lent->strides.at(i) = stride;
        stride *= dimensions[i];
    }
    const bool on_host = tensor.device.kind == Device::Kind::cpu;
    DLTensor& out = lent->managed.dl_tensor;
    out.data = tensor.data;
    out.device.device_type = on_host ? kDLCPU : kDLCUDA;
    out.device.device_id = on_host ? 0 : tensor.device.ordinal;
    out.ndim = static_cast<std::int32_t>(dimensions.size());
    out.dtype = type_of(tensor.dtype);
    out.shape = lent->shape.data();
    out.strides = lent->strides.data();
    out.byte_offset = 0;
    lent->managed.manager_ctx = lent.get();
    lent->managed.deleter = &Lent<Managed>::free;
    return &lent.release()->managed;
}

}  // namespace

ImportedTensor::ImportedTensor(DLManagedTensorVersioned* tensor) : owner_(adopt(tensor)) {
    refuse_null(tensor);
    // Of another major version only the version, the context and the deleter may be looked at.
    if (tensor->version.major != kDlpackMajor) {
        throw InvalidArgument(fmt::format(
            "import a DLPack tensor: it is of DLPack {}.{}, opforge reads {}.x; ask the producer "
            "for that version (max_version)",
            tensor->version.major, tensor->version.minor, kDlpackMajor));
    }
    view_ = view_of(tensor->dl_tensor, tensor->flags);
}

ImportedTensor::ImportedTensor(DLManagedTensor* tensor) : owner_(adopt(tensor)) {
    refuse_null(tensor);
    view_ = view_of(tensor->dl_tensor, 0);
}

DLManagedTensorVersioned* to_dlpack(const TensorView& tensor, std::shared_ptr<const void> owner) {
    auto* const lent = lend<DLManagedTensorVersioned>(tensor, std::move(owner));
    lent->version = {kDlpackMajor, kDlpackMinor};
    lent->flags = tensor.read_only ? kDlpackReadOnly : 0;
    return lent;
}

DLManagedTensor* to_unversioned_dlpack(const TensorView& tensor,
                                       std::shared_ptr<const void> owner) {
    if (tensor.read_only) {
        throw InvalidArgument(
            "export a tensor by DLPack: it is read-only, which the structure before "
            "DLPack 1.0 cannot say; use to_dlpack()");
    }
    return lend<DLManagedTensor>(tensor, std::move(owner));
}

}  // namespace opforge::runtime
