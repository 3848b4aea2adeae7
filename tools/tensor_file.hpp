// Files of tensors as the tools see them, whatever their format: names, dtypes, shapes and where
// the bytes are.
#pragma once

#include "input_file.hpp"

#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace opforge::tools {

struct TensorEntry {
    std::string name;
    std::string dtype;                      // as the file spells it: "BF16", "<f2"
    std::optional<runtime::Dtype> element;  // nullopt: a dtype that opforge has no name for
    std::vector<std::uint64_t> shape;
    std::uint64_t elements = 0;
    std::uint64_t offset = 0;  // of its first byte, from the start of the file
    std::uint64_t size_bytes = 0;
    friend bool operator==(const TensorEntry&, const TensorEntry&) = default;
};

/// What a file holds. Checked against the file's size: the tensors' bytes follow each other without
/// a hole from `data_offset` to the end of the file, so that header and tensors, written in this
/// order, are the file again.
struct TensorIndex {
    std::string format;                                         // "safetensors" or "npy"
    std::uint64_t data_offset = 0;                              // all before is header
    std::vector<TensorEntry> tensors;                           // in the order of their bytes
    std::vector<std::pair<std::string, std::string>> metadata;  // in the header's order
};

/// Reads the header of a safetensors or npy file: known by its first bytes, else by its extension.
/// @throws InputError that names the file and what is wrong with it.
[[nodiscard]] TensorIndex read_tensor_index(const InputFile& file);

/// The elements and bytes that a shape asks for; nullopt where a product does not fit 63 bits or
/// bits do not fill bytes.
struct TensorExtent {
    std::uint64_t elements = 0;
    std::uint64_t size_bytes = 0;
};
[[nodiscard]] std::optional<TensorExtent> tensor_extent(std::span<const std::uint64_t> shape,
                                                        std::uint64_t bits_per_element) noexcept;

/// "[768, 3072]"
[[nodiscard]] std::string format_shape(std::span<const std::uint64_t> shape);

}  // namespace opforge::tools
