// How far a fake-quantized tensor is from its original.
#pragma once

#include <opforge/runtime/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace opforge::tools {

/// Sums over the elements that are finite on both sides; the others are only counted: a poisoned
/// group has no error that a number could tell.
struct QuantizationError {
    double signal = 0;  // sum of x^2
    double noise = 0;   // sum of (x - y)^2
    double worst = 0;   // largest |x - y|
    std::uint64_t elements = 0;
    std::uint64_t not_finite = 0;

    void add(const QuantizationError& other);
    /// 10 log10(signal / noise); nullopt where there is no noise, or no signal.
    [[nodiscard]] std::optional<double> snr_db() const;
};

/// float16, bfloat16 or float32, both sides alike. The sums do not depend on the number of threads.
/// @throws InvalidArgument for another dtype, or for sides of different lengths.
[[nodiscard]] QuantizationError measure_error(runtime::Dtype dtype,
                                              std::span<const std::byte> original,
                                              std::span<const std::byte> quantized, int threads);

/// IEEE half precision, to and from; nearest, ties to even.
[[nodiscard]] float half_to_float(std::uint16_t half) noexcept;
[[nodiscard]] std::uint16_t float_to_half(float value) noexcept;

}  // namespace opforge::tools
