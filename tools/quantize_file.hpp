// Fake-quantizes the tensors of a file, one after the other: never more than the largest of them in
// memory.
#pragma once

#include "quantization_error.hpp"
#include "tensor_file.hpp"

#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::tools {

struct QuantizeSettings {
    std::filesystem::path input;
    std::optional<std::filesystem::path> output;  // unset: only the report
    std::int64_t groups = 0;                      // a tensor; 0: by group_size
    std::int64_t group_size = 0;                  // elements; 0: by groups
    int bits = 8;
    bool asymmetric = false;
    bool stochastic = false;
    std::uint64_t seed = 0;
    runtime::Device device;
    int threads = 0;  // host only; 0: all
};

struct TensorOutcome {
    TensorEntry tensor;
    std::string skipped;  // why it was copied unchanged; empty: quantized, and the rest is set
    std::int64_t groups = 0;
    std::uint64_t random_offset = 0;
    QuantizationError error;
    double seconds = 0;       // of the op alone: no file, no transfer, no compile
    double copy_seconds = 0;  // of a plain copy of the same bytes on the same device
};

struct FileOutcome {
    std::string format;
    std::vector<TensorOutcome> tensors;  // in the order of the file's bytes
};

using QuantizeProgress = std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes,
                                            std::string_view tensor)>;

/// Why a tensor cannot be quantized with these settings; empty where it can.
[[nodiscard]] std::string reason_to_skip(const TensorEntry& tensor,
                                         const QuantizeSettings& settings);

/// Where each tensor's random numbers begin: the element counts before it, each rounded up to 4,
/// skipped tensors included, so that a tensor's numbers depend on the file alone.
[[nodiscard]] std::vector<std::uint64_t> random_offsets(const std::vector<TensorEntry>& tensors);

/// The output is the input with the quantized tensors' bytes replaced: header, metadata, order and
/// alignment are kept.
/// @throws InputError for a bad file, or one whose tensors would all be skipped (empty ones apart);
/// OutputError; what
///         ds_quantizer throws. Nothing is under the output's name unless all went well.
[[nodiscard]] FileOutcome quantize_file(const QuantizeSettings& settings,
                                        const QuantizeProgress& progress = {});

}  // namespace opforge::tools
