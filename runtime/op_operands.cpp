#include "op_operands.hpp"

#include <opforge/runtime/errors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

namespace opforge::runtime {
namespace {

std::string name_of(Device device) {
    return device.kind == Device::Kind::cpu ? "cpu" : fmt::format("cuda:{}", device.ordinal);
}

bool overlap(const TensorView& a, const TensorView& b) {
    const auto first = std::bit_cast<std::uintptr_t>(a.data);
    const auto second = std::bit_cast<std::uintptr_t>(b.data);
    return first < second + b.size_in_bytes() && second < first + a.size_in_bytes();
}

}  // namespace

void check_float(const char* op, const char* what, Dtype dtype) {
    if (dtype != Dtype::float16 && dtype != Dtype::bfloat16 && dtype != Dtype::float32) {
        throw UnsupportedDtype(fmt::format("{}: {} is {}; float16, bfloat16 and float32 are "
                                           "supported: convert it first",
                                           op, what, to_string(dtype)));
    }
}

void check_device_random(const char* op, driver::DevicePointer address) {
    if (address % alignof(RandomState) != 0) {
        throw InvalidArgument(fmt::format("{}: device_random is {:#x}, which is not a multiple of "
                                          "{}; align it as a RandomState",
                                          op, address, alignof(RandomState)));
    }
}

Operands::Operands(const char* op, Device device, const OpOptions& options, bool takes_random)
    : op_(op), device_(device), options_(&options) {
    const bool on_host = device.kind == Device::Kind::cpu;
    if (on_host && options.stream != nullptr) {
        throw InvalidArgument(fmt::format("{}: a stream was passed with host tensors, which no "
                                          "stream orders; leave it out, or pass device addresses "
                                          "and their device",
                                          op));
    }
    if (options.threads < 0) {
        throw InvalidArgument(fmt::format("{}: threads is {}; choose 1 or more, or 0 for all cores",
                                          op, options.threads));
    }
    const bool any_random =
        options.stochastic || options.random.has_value() || options.device_random != 0;
    if (any_random && !takes_random) {
        throw InvalidArgument(fmt::format("{}: it rounds to nearest only; leave stochastic, random "
                                          "and device_random out",
                                          op));
    }
    if (options.device_random != 0 && on_host) {
        throw InvalidArgument(
            fmt::format("{}: device_random was passed with host tensors; pass `random`", op));
    }
    check_device_random(op, options.device_random);
    if (any_random && !options.stochastic) {
        throw InvalidArgument(fmt::format("{}: random numbers were passed without `stochastic`; "
                                          "set it, or leave them out",
                                          op));
    }
}

void Operands::add(const char* what, const TensorView& tensor, std::initializer_list<Dtype> dtypes,
                   std::int64_t elements, bool written) {
    if (std::find(dtypes.begin(), dtypes.end(), tensor.dtype) == dtypes.end()) {
        std::string wanted;
        for (const Dtype dtype : dtypes) {
            wanted += (wanted.empty() ? "" : " or ") + std::string(to_string(dtype));
        }
        throw UnsupportedDtype(
            fmt::format("{}: {} is {}; it must be {}", op_, what, to_string(tensor.dtype), wanted));
    }
    if (tensor.elements() != elements) {
        throw InvalidArgument(fmt::format("{}: {} has {} elements; it must have {}", op_, what,
                                          tensor.elements(), elements));
    }
    if (tensor.device != device_) {
        throw InvalidArgument(fmt::format("{}: {} is on {}, the call's first tensor on {}; all "
                                          "must be on one device",
                                          op_, what, name_of(tensor.device), name_of(device_)));
    }
    if (elements == 0) {
        return;
    }
    if (tensor.data == nullptr) {
        throw InvalidArgument(fmt::format("{}: {} has {} elements and a null pointer; pass the "
                                          "address of its first element",
                                          op_, what, elements));
    }
    if (written && tensor.read_only) {
        throw InvalidArgument(fmt::format("{}: {} is read-only and would be written; pass memory "
                                          "that may be",
                                          op_, what));
    }
    const std::size_t size = size_bytes(tensor.dtype);
    const auto address = std::bit_cast<std::uintptr_t>(tensor.data);
    // Such a count is a mistake, and would wrap where overlaps are looked for.
    if (static_cast<std::uint64_t>(elements) >
        (std::numeric_limits<std::uintptr_t>::max() - address) / size) {
        throw InvalidArgument(fmt::format("{}: {} at {} with {} elements of {} reaches past the "
                                          "end of the address space; check its shape",
                                          op_, what, fmt::ptr(tensor.data), elements,
                                          to_string(tensor.dtype)));
    }
    if (address % size != 0) {
        throw InvalidArgument(fmt::format("{}: {} is at {}, which is not a multiple of {}, the "
                                          "size of a {}; align it to its element",
                                          op_, what, fmt::ptr(tensor.data), size,
                                          to_string(tensor.dtype)));
    }
    all_.push_back({what, tensor, written});
}

void Operands::add_output(const char* what, const std::optional<TensorView>& given,
                          const OutputSpec& spec, std::initializer_list<Dtype> dtypes) {
    if (given) {
        add(what, *given, dtypes, spec.shape.elements(), true);
    } else if (!options_->allocate && spec.shape.elements() != 0) {
        throw InvalidArgument(
            fmt::format("{}: no memory for {} ({} of {}); pass it in the options, "
                        "or an `allocate`",
                        op_, what, spec.shape.elements(), to_string(spec.dtype)));
    }
}

void Operands::check_overlaps() const {
    for (std::size_t i = 0; i < all_.size(); ++i) {
        for (std::size_t k = i + 1; k < all_.size(); ++k) {
            if ((all_[i].written || all_[k].written) && overlap(all_[i].tensor, all_[k].tensor)) {
                throw InvalidArgument(fmt::format("{}: {} and {} overlap, and one of them is "
                                                  "written; give each memory of its own",
                                                  op_, all_[i].what, all_[k].what));
            }
        }
    }
}

TensorView Operands::output(const char* what, const std::optional<TensorView>& given,
                            const OutputSpec& spec) {
    if (given) {
        TensorView view = *given;
        view.shape = spec.shape;
        return view;
    }
    TensorView view{nullptr, spec.dtype, spec.shape, device_};
    if (spec.shape.elements() == 0) {
        return view;
    }
    view.data = options_->allocate(spec.size_in_bytes(), device_);
    if (view.data == nullptr) {
        throw InvalidArgument(fmt::format("{}: `allocate` gave no memory for {} ({} bytes)", op_,
                                          what, spec.size_in_bytes()));
    }
    if (std::bit_cast<std::uintptr_t>(view.data) % size_bytes(spec.dtype) != 0) {
        throw InvalidArgument(fmt::format("{}: `allocate` gave {} for {}, which is not aligned to "
                                          "its elements",
                                          op_, fmt::ptr(view.data), what));
    }
    // One scratch buffer given twice would have records overwrite codes.
    for (const Operand& other : all_) {
        if (overlap(view, other.tensor)) {
            throw InvalidArgument(fmt::format("{}: `allocate` gave memory for {} that overlaps {}; "
                                              "give each memory of its own",
                                              op_, what, other.what));
        }
    }
    all_.push_back({what, view, true});
    return view;
}

}  // namespace opforge::runtime
