// The safetensors format: eight bytes of header length (little-endian), a JSON object, the tensors'
// bytes. Read strictly: a header that lies about the file is an error that says how.
#pragma once

#include "tensor_file.hpp"

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace opforge::tools {

/// The reference implementation's own cap.
inline constexpr std::uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

/// @throws InputError
[[nodiscard]] TensorIndex read_safetensors_index(const InputFile& file);

/// The same for a header already in memory, of a file with `data_bytes` bytes after it. `path` is
/// for the error's text.
/// @throws InputError
[[nodiscard]] TensorIndex parse_safetensors_header(const std::filesystem::path& path,
                                                   std::string_view header,
                                                   std::uint64_t data_bytes);

}  // namespace opforge::tools
