// Which library call stands behind each op of the vectors. One row an op; an op without a row is
// skipped, and said to be.
#pragma once

#include "vectors.hpp"

#include <opforge/runtime/tensor_view.hpp>

#include <memory>
#include <string_view>

namespace opforge::golden {

/// Where cases run: host memory, or one GPU with its primary context current until this object
/// goes. Single-threaded.
class Place {
public:
    /// @throws NoDevice, DriverError where a GPU was asked for and cannot be had
    explicit Place(runtime::Device device);
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();
    [[nodiscard]] runtime::Device device() const noexcept { return device_; }

    /// A working copy of a tensor in this place's memory.
    class Copy {
    public:
        /// @throws VectorError for a dtype that no op takes
        Copy(const Place& place, const Tensor& tensor);
        Copy(Copy&&) noexcept;
        Copy& operator=(Copy&&) noexcept;
        ~Copy();
        [[nodiscard]] const runtime::TensorView& view() const noexcept { return view_; }
        /// The bytes as they are now, once the device has finished.
        [[nodiscard]] Tensor read() const;

    private:
        struct Memory;
        std::unique_ptr<Memory> memory_;
        runtime::TensorView view_;
        std::string dtype_;
        std::vector<std::int64_t> shape_;
    };

private:
    struct Gpu;
    runtime::Device device_;
    std::unique_ptr<Gpu> gpu_;
};

/// Runs a case and gives its outputs by name. @throws VectorError where the case lacks what the op
/// needs; the library's own errors otherwise
using Runner = Tensors (*)(const Case& of, const Place& place);

/// Null where the op has no runner.
[[nodiscard]] Runner find_runner(std::string_view op) noexcept;

}  // namespace opforge::golden
