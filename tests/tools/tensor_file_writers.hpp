// Writes the tensor files that the tests read: good ones, and, piece by piece, bad ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace opforge::test {

struct WrittenTensor {
    std::string name;
    std::string dtype;
    std::vector<std::uint64_t> shape;
    std::string bytes;
    friend bool operator==(const WrittenTensor&, const WrittenTensor&) = default;
};

/// A header's text with its length before it.
[[nodiscard]] std::string with_length(std::string_view header);

[[nodiscard]] std::string
safetensors_text(const std::vector<WrittenTensor>& tensors,
                 const std::vector<std::pair<std::string, std::string>>& metadata = {});

/// Version 1.0 with a 64-byte aligned header, as numpy writes it; 2 and 3 with the longer length
/// field.
[[nodiscard]] std::string npy_text(std::string_view dictionary, std::string_view data,
                                   int version = 1);

/// The elements as bytes: halves from floats, or the floats themselves.
[[nodiscard]] std::string as_halves(const std::vector<float>& values);
[[nodiscard]] std::string as_floats(const std::vector<float>& values);
/// A plain sequence with some spread, the same every time.
[[nodiscard]] std::vector<float> sample_values(std::size_t count);

}  // namespace opforge::test
