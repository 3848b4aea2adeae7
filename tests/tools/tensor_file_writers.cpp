#include "tensor_file_writers.hpp"

#include <quantization_error.hpp>

#include <nlohmann/json.hpp>

#include <cstring>

namespace opforge::test {
namespace {

std::string little_endian(std::uint64_t value, std::size_t size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) {
        bytes.push_back(static_cast<char>(value >> 8U * i & 0xFFU));
    }
    return bytes;
}

}  // namespace

std::string with_length(std::string_view header) {
    return little_endian(header.size(), 8) + std::string(header);
}

std::string safetensors_text(const std::vector<WrittenTensor>& tensors,
                             const std::vector<std::pair<std::string, std::string>>& metadata) {
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    for (const auto& [key, value] : metadata) {
        header["__metadata__"][key] = value;
    }
    std::string data;
    for (const WrittenTensor& tensor : tensors) {
        header[tensor.name] = {{"dtype", tensor.dtype},
                               {"shape", tensor.shape},
                               {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
        data += tensor.bytes;
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return with_length(text) + data;
}

std::string npy_text(std::string_view dictionary, std::string_view data, int version) {
    const std::size_t length_bytes = version == 1 ? 2 : 4;
    std::string header(dictionary);
    header.resize((8 + length_bytes + header.size() + 1 + 63) / 64 * 64 - 9 - length_bytes, ' ');
    header += '\n';
    return "\x93NUMPY" + std::string{static_cast<char>(version), '\0'} +
           little_endian(header.size(), length_bytes) + header + std::string(data);
}

std::string as_halves(const std::vector<float>& values) {
    std::string bytes;
    for (const float value : values) {
        bytes += little_endian(tools::float_to_half(value), 2);
    }
    return bytes;
}

std::string as_floats(const std::vector<float>& values) {
    std::string bytes(values.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
}

std::vector<float> sample_values(std::size_t count) {
    std::vector<float> values(count);
    std::uint32_t state = 1;
    for (float& value : values) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<float>(state >> 8U) / 8388608.0F - 1.0F;
    }
    return values;
}

}  // namespace opforge::test
