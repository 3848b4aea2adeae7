#include "tensor_file.hpp"

#include "file_errors.hpp"
#include "npy.hpp"
#include "safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <limits>

namespace opforge::tools {

TensorIndex read_tensor_index(const InputFile& file) {
    std::array<std::byte, 9> start{};
    const bool has_start = file.size_bytes() >= start.size();
    if (has_start) {
        file.read(0, start);
    }
    const std::string extension = file.path().extension().string();
    if ((has_start && starts_like_npy(start)) || extension == ".npy") {
        return read_npy_index(file);
    }
    if ((has_start && start[8] == std::byte{'{'}) || extension == ".safetensors") {
        return read_safetensors_index(file);
    }
    throw InputError(file.path(),
                     "neither a safetensors nor an npy file, by its first bytes and by its name; "
                     "convert it to one of them");
}

std::optional<TensorExtent> tensor_extent(std::span<const std::uint64_t> shape,
                                          std::uint64_t bits_per_element) noexcept {
    constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    TensorExtent extent{1, 0};
    for (const std::uint64_t dimension : shape) {
        if (dimension > kLargest ||
            __builtin_mul_overflow(extent.elements, dimension, &extent.elements) ||
            extent.elements > kLargest) {
            return std::nullopt;
        }
    }
    std::uint64_t bits = 0;
    if (__builtin_mul_overflow(extent.elements, bits_per_element, &bits) || bits % 8 != 0) {
        return std::nullopt;
    }
    extent.size_bytes = bits / 8;
    return extent;
}

std::string format_shape(std::span<const std::uint64_t> shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace opforge::tools
