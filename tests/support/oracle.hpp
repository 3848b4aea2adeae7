// A second opinion on the numbers: scalar, plain, written from the contract's tables alone, sharing
// no line with the library. It favours formulas that can be checked by eye over speed. Pure
// functions; any thread. Source: contract sections 1, 1.1 and 3.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace opforge::test::oracle {

enum class Element : std::uint8_t { fp16, bf16, fp32 };

[[nodiscard]] std::size_t element_bytes(Element element) noexcept;
/// "fp16", "bf16", "fp32"
[[nodiscard]] std::string_view name(Element element) noexcept;

[[nodiscard]] float half_to_float(std::uint16_t half);
[[nodiscard]] float bfloat_to_float(std::uint16_t bfloat);
/// Nearest, ties to even; too large becomes an infinity; subnormals are kept.
[[nodiscard]] std::uint16_t float_to_half(float value);
[[nodiscard]] std::uint16_t float_to_bfloat(float value);

/// Tensors as bytes in memory order <-> as floats; encoding rounds to the element type.
[[nodiscard]] std::vector<float> decode(Element element, std::span<const std::byte> bytes);
[[nodiscard]] std::vector<std::byte> encode(Element element, std::span<const float> values);

/// Philox4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11).
[[nodiscard]] std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) noexcept;
/// The number in [0, 1) that belongs to index `index` (offset + element) of `seed`.
[[nodiscard]] float uniform(std::uint64_t seed, std::uint64_t index) noexcept;

struct Settings {
    std::int64_t groups = 1;
    int bits = 8;
    bool stochastic = false;
    bool asymmetric = false;
    std::uint64_t seed = 0;
    std::uint64_t offset = 0;
};

/// The fp32 results before they are rounded to the element type. `groups` must divide the count.
[[nodiscard]] std::vector<float> fake_quantize(std::span<const float> values,
                                               const Settings& settings);
/// A whole tensor, rounded to its element type.
[[nodiscard]] std::vector<std::byte>
fake_quantize(Element element, std::span<const std::byte> tensor, const Settings& settings);

}  // namespace opforge::test::oracle
