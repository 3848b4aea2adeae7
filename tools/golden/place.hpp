// Where cases run, and the memory they run in.
#pragma once

#include "vectors.hpp"

#include <opforge/runtime/op_options.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <memory>
#include <string>
#include <vector>

namespace opforge::golden {

/// Host memory, or one GPU with its primary context current until this object goes.
/// Single-threaded.
class Place {
public:
    /// @throws NoDevice, DriverError where a GPU was asked for and cannot be had
    explicit Place(runtime::Device device);
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();
    [[nodiscard]] runtime::Device device() const noexcept { return device_; }

    class Copy;
    class Outputs;

private:
    struct Gpu;
    struct Memory;
    runtime::Device device_;
    std::unique_ptr<Gpu> gpu_;
};

/// A working copy of a tensor in a place's memory.
class Place::Copy {
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
    std::unique_ptr<Memory> memory_;
    runtime::TensorView view_;
    std::string dtype_;
    std::vector<std::int64_t> shape_;
};

/// The memory of one call's outputs.
class Place::Outputs {
public:
    explicit Outputs(const Place& place);
    Outputs(const Outputs&) = delete;
    Outputs& operator=(const Outputs&) = delete;
    ~Outputs();
    /// For OpOptions::allocate; this object must outlive the call.
    [[nodiscard]] runtime::Allocator allocator();
    /// What the call returned, once the device has finished. @throws Error where it is not memory
    /// of these outputs
    [[nodiscard]] Tensor read(const runtime::TensorView& view) const;

private:
    [[nodiscard]] void* allocate(std::size_t size_bytes);

    const Place* place_;
    std::vector<std::unique_ptr<Memory>> memory_;
};

/// By numpy's name, or "bfloat16". @throws VectorError for one that no op takes
[[nodiscard]] runtime::Dtype to_dtype(const std::string& name);

}  // namespace opforge::golden
