// Tensors from and to other frameworks by DLPack, without a copy. Needs no header of DLPack's: its
// structures are only named here, so that a host may include whichever version it has, before or
// after (dlpack_abi.hpp declares them where it has none). Any thread. Streams are the caller's, as
// everywhere: DLPack's exchange makes the producer's work visible on the stream that the consumer
// named, which is the one to pass in CallOptions.
#pragma once

#include <opforge/base/export.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <memory>
#include <utility>

struct DLManagedTensor;
struct DLManagedTensorVersioned;

namespace opforge::runtime {

/// A tensor that another framework lent: view() is valid as long as this object, which then calls
/// the lender's deleter, once.
class OPFORGE_API ImportedTensor {
public:
    /// Takes the tensor over, also where it throws: the deleter has then been called. A tensor
    /// marked read-only gives a view that ops refuse to write to.
    /// @throws UnsupportedDtype for a dtype that no op takes: of several lanes, or of less than a
    /// byte, padded or packed; InvalidArgument for another major version, another device than host
    /// (pinned or not) and CUDA (managed or not), strides that are not row-major without gaps, more
    /// than eight dimensions, a null pointer
    explicit ImportedTensor(DLManagedTensorVersioned* tensor);
    /// The same of the structure before DLPack 1.0, which knows no version and no flags.
    explicit ImportedTensor(DLManagedTensor* tensor);
    ImportedTensor(ImportedTensor&& other) noexcept
        : view_(std::exchange(other.view_, {})), owner_(std::move(other.owner_)) {}
    ImportedTensor& operator=(ImportedTensor&& other) noexcept {
        view_ = std::exchange(other.view_, {});
        owner_ = std::move(other.owner_);
        return *this;
    }
    ImportedTensor(const ImportedTensor&) = delete;
    ImportedTensor& operator=(const ImportedTensor&) = delete;
    ~ImportedTensor() = default;

    [[nodiscard]] const TensorView& view() const noexcept { return view_; }

private:
    TensorView view_;
    std::shared_ptr<void> owner_;  // calls the deleter
};

/// Lends a tensor to another framework: DLPack 1.1, strides set, read-only where the view is.
/// `owner` keeps its memory, and is let go by the deleter, which the taker calls, once, on any
/// thread. Codes go out as int8, as they are stored.
[[nodiscard]] OPFORGE_API DLManagedTensorVersioned* to_dlpack(const TensorView& tensor,
                                                              std::shared_ptr<const void> owner);
/// The same for takers that only know the structure before 1.0. @throws InvalidArgument for a
/// read-only tensor, which that structure cannot mark
[[nodiscard]] OPFORGE_API DLManagedTensor* to_unversioned_dlpack(const TensorView& tensor,
                                                                 std::shared_ptr<const void> owner);

}  // namespace opforge::runtime
