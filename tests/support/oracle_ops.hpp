// The second opinion on the ops with codes, as support/oracle.hpp is on fake quantization: scalar,
// plain, and without a line of the library's. Pure functions; any thread. They take only arguments
// that the contract allows. Source: contract sections 1.1 and 4 to 8.
#pragma once

#include "support/oracle.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace opforge::test::oracle {

struct Coding {
    int bits = 8;
    bool asymmetric = false;
    [[nodiscard]] std::size_t record() const noexcept { return asymmetric ? 2 : 1; }
};

/// A most-significant-bit-first stream of two's complement codes <-> the codes.
[[nodiscard]] std::vector<std::byte> pack(std::span<const int> codes, int bits);
[[nodiscard]] std::vector<int> unpack(std::span<const std::byte> stream, int bits);

struct Quantized {
    std::vector<std::byte> codes;  // packed
    std::vector<float> params;     // a record {step[, offset]} a group
    std::vector<std::byte> error;  // LoCo only: the new error feedback
};

struct Noise {
    std::uint64_t seed = 0;
    std::uint64_t offset = 0;
};

[[nodiscard]] Quantized quantize(Element element, std::span<const std::byte> tensor,
                                 std::int64_t groups, Coding coding,
                                 std::optional<Noise> noise = {});

/// The fp32 results, not yet rounded to the output's element type.
[[nodiscard]] std::vector<float> dequantize(std::span<const std::byte> codes,
                                            std::span<const float> params, std::int64_t groups,
                                            Coding coding);

/// `scale`, `min` and the result: fp16 in memory order. `bits`: 4 or 8, unsigned codes.
[[nodiscard]] std::vector<std::byte> dequantize_experimental(std::span<const std::byte> codes,
                                                             std::span<const std::byte> scale,
                                                             std::span<const std::byte> min,
                                                             std::int64_t groups, int bits);

/// LoCo's part of a call: the error feedback as it was, in the op's element type.
struct Feedback {
    std::vector<std::byte> error;
    float beta = 0;
};

struct Partition {
    std::int64_t pipeline = 1;
    std::int64_t nodes = 1;
    std::int64_t devices = 1;
};

/// Where each input group goes.
[[nodiscard]] std::vector<std::size_t> swizzled_positions(std::int64_t groups, Partition partition);

[[nodiscard]] Quantized swizzle_quant(Element element, std::span<const std::byte> tensor,
                                      std::int64_t groups, Coding coding, Partition partition,
                                      const std::optional<Feedback>& feedback = {});

struct Reduction {
    std::int64_t in_groups = 1;  // of all devices
    std::int64_t out_groups = 1;
    std::int64_t devices = 1;
};

/// `element`: the working dtype.
[[nodiscard]] Quantized quantized_reduction(Element element, std::span<const std::byte> codes,
                                            std::span<const float> params, Coding coding,
                                            Reduction reduction,
                                            const std::optional<Feedback>& feedback = {});

}  // namespace opforge::test::oracle
