#include "quantization_error.hpp"

#include "parallel.hpp"

#include <opforge/base/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace opforge::tools {
namespace {

float to_float(std::uint16_t bits, runtime::Dtype dtype) noexcept {
    return dtype == runtime::Dtype::float16
               ? half_to_float(bits)
               : std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}
float to_float(float value, runtime::Dtype) noexcept {
    return value;
}

template <typename Element>
QuantizationError measure(runtime::Dtype dtype, std::span<const std::byte> original,
                          std::span<const std::byte> quantized) noexcept {
    QuantizationError error;
    for (std::size_t at = 0; at < original.size(); at += sizeof(Element)) {
        Element before{};
        Element after{};
        std::memcpy(&before, original.data() + at, sizeof(Element));
        std::memcpy(&after, quantized.data() + at, sizeof(Element));
        const double x = to_float(before, dtype);
        const double y = to_float(after, dtype);
        ++error.elements;
        if (!std::isfinite(x) || !std::isfinite(y)) {
            ++error.not_finite;
            continue;
        }
        const double difference = x - y;
        error.signal += x * x;
        error.noise += difference * difference;
        error.worst = std::max(error.worst, std::abs(difference));
    }
    return error;
}

}  // namespace

float half_to_float(std::uint16_t half) noexcept {
    const std::uint32_t sign = (half & 0x8000U) << 16U;
    const std::uint32_t magnitude = half & 0x7FFFU;
    if (magnitude >= 0x7C00U) {
        return std::bit_cast<float>(sign | 0x7F800000U | magnitude << 13U);
    }
    // The exponent's bias differs by 112; the product is exact, for subnormal halves too.
    const float value = std::bit_cast<float>(magnitude << 13U) * 0x1p112F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

std::uint16_t float_to_half(float value) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto sign = static_cast<std::uint16_t>(bits >> 16U & 0x8000U);
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U) {
        return static_cast<std::uint16_t>(sign | 0x7E00U);
    }
    if (magnitude >= 0x477FF000U) {  // 65520 and up round to infinity
        return static_cast<std::uint16_t>(sign | 0x7C00U);
    }
    if (magnitude < 0x38800000U) {  // below 2^-14: a multiple of 2^-24, rounded by the addition
        const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
        return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) & 0x7FFFU));
    }
    const std::uint32_t rounded = magnitude - 0x38000000U + 0xFFFU + (magnitude >> 13U & 1U);
    return static_cast<std::uint16_t>(sign | rounded >> 13U);
}

void QuantizationError::add(const QuantizationError& other) {
    signal += other.signal;
    noise += other.noise;
    worst = std::max(worst, other.worst);
    elements += other.elements;
    not_finite += other.not_finite;
}

std::optional<double> QuantizationError::snr_db() const {
    if (!(noise > 0) || !(signal > 0)) {
        return std::nullopt;
    }
    return 10.0 * std::log10(signal / noise);
}

QuantizationError measure_error(runtime::Dtype dtype, std::span<const std::byte> original,
                                std::span<const std::byte> quantized, int threads) {
    using runtime::Dtype;
    if (dtype != Dtype::float16 && dtype != Dtype::bfloat16 && dtype != Dtype::float32) {
        throw InvalidArgument(
            fmt::format("measure_error: {} is not a floating-point dtype that opforge quantizes",
                        runtime::to_string(dtype)));
    }
    if (original.size() != quantized.size()) {
        throw InvalidArgument(
            fmt::format("measure_error: {} bytes against {}", original.size(), quantized.size()));
    }
    // Pieces of a fixed size, summed in their order: double addition is not associative.
    constexpr std::size_t kPiece = std::size_t{1} << 20U;
    std::vector<QuantizationError> parts((original.size() + kPiece - 1) / kPiece);
    for_each_piece(parts.size(), threads, [&](std::size_t piece) {
        const std::size_t begin = piece * kPiece;
        const std::size_t size = std::min(kPiece, original.size() - begin);
        const auto from = original.subspan(begin, size);
        const auto to = quantized.subspan(begin, size);
        parts[piece] = dtype == Dtype::float32 ? measure<float>(dtype, from, to)
                                               : measure<std::uint16_t>(dtype, from, to);
    });
    QuantizationError total;
    for (const QuantizationError& part : parts) {
        total.add(part);
    }
    return total;
}

}  // namespace opforge::tools
