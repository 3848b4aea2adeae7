#include "support/oracle.hpp"

#include "support/oracle_range.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace opforge::test::oracle {

namespace {

// A 16-bit IEEE-style format: 1 sign bit, `exponent_bits`, the rest fraction.
struct Format {
    int exponent_bits;
    int fraction_bits;
    [[nodiscard]] int bias() const { return (1 << (exponent_bits - 1)) - 1; }
    [[nodiscard]] int largest_exponent_field() const { return (1 << exponent_bits) - 1; }
};

constexpr Format kHalf{5, 10};
constexpr Format kBfloat{8, 7};

float widen(Format format, std::uint16_t bits) {
    const int fraction = bits & ((1 << format.fraction_bits) - 1);
    const int exponent = (bits >> format.fraction_bits) & format.largest_exponent_field();
    const float sign = (bits & 0x8000U) != 0 ? -1.0F : 1.0F;
    if (exponent == format.largest_exponent_field()) {
        return fraction != 0 ? std::numeric_limits<float>::quiet_NaN()
                             : sign * std::numeric_limits<float>::infinity();
    }
    if (exponent == 0) {  // subnormal: no hidden bit
        return sign *
               static_cast<float>(std::ldexp(fraction, 1 - format.bias() - format.fraction_bits));
    }
    const int significand = fraction + (1 << format.fraction_bits);
    return sign * static_cast<float>(
                      std::ldexp(significand, exponent - format.bias() - format.fraction_bits));
}

// The magnitude is counted in units in the last place, in double, where that is exact, and the
// count is rounded. Format bits of consecutive magnitudes are consecutive integers, so a count that
// rounds up to the next power of two, or to the infinity, needs no case of its own.
std::uint16_t narrow(Format format, float value) {
    const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000U : 0U);
    const int infinity = format.largest_exponent_field() << format.fraction_bits;
    if (std::isnan(value)) {
        return static_cast<std::uint16_t>(sign | infinity | (1 << (format.fraction_bits - 1)));
    }
    const double magnitude = std::fabs(static_cast<double>(value));
    if (std::isinf(magnitude)) {
        return static_cast<std::uint16_t>(sign | infinity);
    }
    const int smallest_exponent = 1 - format.bias();
    int exponent = magnitude == 0.0 ? smallest_exponent : std::ilogb(magnitude);
    if (exponent < smallest_exponent) {
        exponent = smallest_exponent;
    }
    // std::nearbyint rounds ties to even in the default mode.
    const double count = std::nearbyint(std::ldexp(magnitude, format.fraction_bits - exponent));
    const int steps_below = (exponent - smallest_exponent) << format.fraction_bits;
    const int bits = steps_below + static_cast<int>(count);
    return static_cast<std::uint16_t>(sign | (bits < infinity ? bits : infinity));
}

template <class T>
T load(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

// -0 is below +0.
bool below(float a, float b) {
    return a < b || (a == b && std::signbit(a) && !std::signbit(b));
}

std::int64_t clamp(std::int64_t code, std::int64_t lowest, std::int64_t highest) {
    return code < lowest ? lowest : (code > highest ? highest : code);
}

std::int64_t round_stochastically(float v, float u) {
    const float t = std::floor(v);
    const float e = v - t;
    return static_cast<std::int64_t>(t) + (u < e ? 1 : 0);
}

}  // namespace

Range range_of(std::span<const float> group, bool asymmetric) {
    Range range{group[0], group[0], 0.0F, false};
    for (const float x : group) {
        if (!std::isfinite(x)) {
            range.poisoned = true;
            return range;
        }
        range.low = below(x, range.low) ? x : range.low;
        range.high = below(range.high, x) ? x : range.high;
        range.magnitude = std::fabs(x) > range.magnitude ? std::fabs(x) : range.magnitude;
    }
    const float width = asymmetric ? range.high - range.low : 2.0F * range.magnitude;
    range.poisoned = !std::isfinite(width);
    return range;
}

std::size_t element_bytes(Element element) noexcept {
    return element == Element::fp32 ? 4 : 2;
}

std::string_view name(Element element) noexcept {
    switch (element) {
    case Element::fp16:
        return "fp16";
    case Element::bf16:
        return "bf16";
    case Element::fp32:
        break;
    }
    return "fp32";
}

float half_to_float(std::uint16_t half) {
    return widen(kHalf, half);
}
float bfloat_to_float(std::uint16_t bfloat) {
    return widen(kBfloat, bfloat);
}
std::uint16_t float_to_half(float value) {
    return narrow(kHalf, value);
}
std::uint16_t float_to_bfloat(float value) {
    return narrow(kBfloat, value);
}

std::vector<float> decode(Element element, std::span<const std::byte> bytes) {
    const std::size_t size = element_bytes(element);
    std::vector<float> values(bytes.size() / size);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::byte* from = bytes.data() + i * size;
        values[i] = element == Element::fp32   ? load<float>(from)
                    : element == Element::fp16 ? half_to_float(load<std::uint16_t>(from))
                                               : bfloat_to_float(load<std::uint16_t>(from));
    }
    return values;
}

std::vector<std::byte> encode(Element element, std::span<const float> values) {
    const std::size_t size = element_bytes(element);
    std::vector<std::byte> bytes(values.size() * size);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (element == Element::fp32) {
            std::memcpy(bytes.data() + i * size, &values[i], size);
        } else {
            const std::uint16_t bits =
                element == Element::fp16 ? float_to_half(values[i]) : float_to_bfloat(values[i]);
            std::memcpy(bytes.data() + i * size, &bits, size);
        }
    }
    return bytes;
}

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key) noexcept {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t first = std::uint64_t{0xD2511F53U} * counter[0];
        const std::uint64_t second = std::uint64_t{0xCD9E8D57U} * counter[2];
        counter = {static_cast<std::uint32_t>(second >> 32U) ^ counter[1] ^ key[0],
                   static_cast<std::uint32_t>(second),
                   static_cast<std::uint32_t>(first >> 32U) ^ counter[3] ^ key[1],
                   static_cast<std::uint32_t>(first)};
        key[0] += 0x9E3779B9U;
        key[1] += 0xBB67AE85U;
    }
    return counter;
}

float uniform(std::uint64_t seed, std::uint64_t index) noexcept {
    const std::uint64_t block = index / 4;
    const auto words = philox(
        {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32U), 0U, 0U},
        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)});
    const std::uint32_t upper = words[index % 4] >> 8U;
    return static_cast<float>(upper) / 16777216.0F;  // 2^24: exact
}

std::vector<float> fake_quantize(std::span<const float> values, const Settings& settings) {
    std::vector<float> result(values.size());
    if (values.empty()) {
        return result;
    }
    const auto groups = static_cast<std::size_t>(settings.groups);
    if (settings.groups < 1 || values.size() % groups != 0) {
        throw std::logic_error("oracle: the groups must divide the element count");
    }
    const std::size_t n = values.size() / groups;
    const std::int64_t levels = std::int64_t{1} << settings.bits;
    for (std::size_t g = 0; g < groups; ++g) {
        const std::span<const float> group = values.subspan(g * n, n);
        const Range range = range_of(group, settings.asymmetric);
        for (std::size_t i = 0; i < n; ++i) {
            const float x = group[i];
            float& y = result[g * n + i];
            if (range.poisoned) {
                y = std::numeric_limits<float>::quiet_NaN();
                continue;
            }
            const float u =
                settings.stochastic ? uniform(settings.seed, settings.offset + g * n + i) : 0.0F;
            if (settings.asymmetric) {
                const float width = range.high - range.low;
                const auto s = static_cast<float>((static_cast<double>(width) + 1e-5) /
                                                  static_cast<double>(levels));
                const float r = 1.0F / s;
                const float difference = x - range.low;
                const float v = difference * r;
                // std::round: ties away from zero. The nearest variant has no clamp.
                const float q =
                    settings.stochastic
                        ? static_cast<float>(clamp(round_stochastically(v, u), 0, levels - 1))
                        : std::round(v);
                y = std::fma(q, s, range.low);
            } else {
                const float twice = 2.0F * range.magnitude;
                const auto s = static_cast<float>(static_cast<double>(levels) /
                                                  (static_cast<double>(twice) + 1e-5));
                const float r = 1.0F / s;
                const float v = x * s;
                const std::int64_t code = settings.stochastic
                                              ? round_stochastically(v, u)
                                              : static_cast<std::int64_t>(std::nearbyint(v));
                y = static_cast<float>(clamp(code, -levels / 2, levels / 2 - 1)) * r;
            }
        }
    }
    return result;
}

std::vector<std::byte> fake_quantize(Element element, std::span<const std::byte> tensor,
                                     const Settings& settings) {
    return encode(element, fake_quantize(decode(element, tensor), settings));
}

}  // namespace opforge::test::oracle
