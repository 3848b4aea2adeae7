// numpy's .npy format, versions 1.0, 2.0 and 3.0: one tensor, with a Python dictionary for a
// header. Taken: little-endian float16 and float32 in C order. Everything else is an error that
// names what the file has.
#pragma once

#include "tensor_file.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace opforge::tools {

/// Far above what one plain dtype needs: numpy itself refuses to read more than 10 000 by default.
inline constexpr std::uint64_t kMaxNpyHeaderBytes = 65536;

[[nodiscard]] bool starts_like_npy(std::span<const std::byte> start) noexcept;

/// @throws InputError
[[nodiscard]] TensorIndex read_npy_index(const InputFile& file);

/// The tensor that a header's dictionary tells of, its offset left at 0. `path` is for the error's
/// text.
/// @throws InputError
[[nodiscard]] TensorEntry parse_npy_header(const std::filesystem::path& path,
                                           std::string_view header);

}  // namespace opforge::tools
