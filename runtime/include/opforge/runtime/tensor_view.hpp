// A tensor as an op sees it: pointer, dtype, shape, device. Never owns, never copies, never
// allocates.
#pragma once

#include <opforge/base/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace opforge::runtime {

enum class Dtype : std::uint8_t {
    float16,
    bfloat16,
    float32,
    float64,
    int8,
    uint8,
    int16,
    int32,
    int64,
    boolean
};
/// numpy's name ("float16"), or "bfloat16".
[[nodiscard]] OPFORGE_API std::string_view to_string(Dtype dtype) noexcept;
[[nodiscard]] constexpr std::size_t size_bytes(Dtype dtype) noexcept {
    switch (dtype) {
    case Dtype::int8:
    case Dtype::uint8:
    case Dtype::boolean:
        return 1;
    case Dtype::float16:
    case Dtype::bfloat16:
    case Dtype::int16:
        return 2;
    case Dtype::float32:
    case Dtype::int32:
        return 4;
    case Dtype::float64:
    case Dtype::int64:
        return 8;
    }
    return 1;
}

struct Device {
    enum class Kind : std::uint8_t { cpu, cuda };
    Kind kind = Kind::cpu;
    int ordinal = 0;
    friend bool operator==(const Device&, const Device&) = default;
    [[nodiscard]] static constexpr Device cpu() noexcept { return {}; }
    [[nodiscard]] static constexpr Device cuda(int ordinal) noexcept {
        return {Kind::cuda, ordinal};
    }
};

/// Up to eight dimensions, outermost first.
class OPFORGE_API Shape {
public:
    static constexpr std::size_t kMaxRank = 8;
    Shape() = default;  // a scalar
    /// @throws InvalidArgument for more than eight dimensions, a negative one, or a product past
    /// 2^63
    Shape(std::initializer_list<std::int64_t> dimensions);
    explicit Shape(std::span<const std::int64_t> dimensions);
    [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
    [[nodiscard]] std::int64_t operator[](std::size_t i) const noexcept { return dimensions_[i]; }
    [[nodiscard]] std::int64_t elements() const noexcept { return elements_; }
    [[nodiscard]] std::span<const std::int64_t> dimensions() const noexcept {
        return {dimensions_.data(), rank_};
    }
    friend bool operator==(const Shape&, const Shape&) = default;

private:
    std::array<std::int64_t, kMaxRank> dimensions_{};
    std::size_t rank_ = 0;
    std::int64_t elements_ = 1;
};

/// C-contiguous. `data` is a host address, or a device address of `device`; aligned to the element.
struct TensorView {
    void* data = nullptr;
    Dtype dtype = Dtype::float32;
    Shape shape;
    Device device;
    /// Ops refuse to write to it, with InvalidArgument.
    bool read_only = false;
    [[nodiscard]] std::int64_t elements() const noexcept { return shape.elements(); }
    [[nodiscard]] std::size_t size_in_bytes() const noexcept {
        return static_cast<std::size_t>(elements()) * runtime::size_bytes(dtype);
    }
};

}  // namespace opforge::runtime
