#include "support/oracle_ops.hpp"

#include "support/oracle_range.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace opforge::test::oracle {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

float round_to(Element element, float value) {
    switch (element) {
    case Element::fp16:
        return half_to_float(float_to_half(value));
    case Element::bf16:
        return bfloat_to_float(float_to_bfloat(value));
    case Element::fp32:
        break;
    }
    return value;
}

// Saturating, NaN to 0. The value is integral already, or about to be clamped.
std::int64_t to_integer(float value) {
    if (std::isnan(value)) {
        return 0;
    }
    constexpr float kEnd = 2147483648.0F;  // 2^31
    if (value >= kEnd) {
        return std::numeric_limits<std::int32_t>::max();
    }
    return value < -kEnd ? std::numeric_limits<std::int32_t>::min()
                         : static_cast<std::int64_t>(value);
}

// What a group's values become.
struct GroupCodes {
    std::vector<int> codes;
    float step = 1;
    float offset = 0;
    bool poisoned = false;
};

// Section 4. `first_index`: of the group's first element among the random numbers.
GroupCodes quantize_group(std::span<const float> group, Coding coding,
                          const std::optional<Noise>& noise, std::uint64_t first_index) {
    GroupCodes result;
    result.codes.assign(group.size(), 0);
    if (group.empty()) {
        return result;
    }
    const Range range = range_of(group, coding.asymmetric);
    const float sum = range.high + range.low;
    if (range.poisoned || (coding.asymmetric && !std::isfinite(sum))) {
        result.step = kNan;
        result.offset = kNan;
        result.poisoned = true;
        return result;
    }
    const auto levels = static_cast<float>(1 << coding.bits);
    float s = 1;
    if (coding.asymmetric) {
        if (range.high != range.low) {
            const float width = range.high - range.low;
            s = levels / width;
        }
        result.offset = sum / 2.0F;
    } else if (range.magnitude != 0) {
        const float twice = 2.0F * range.magnitude;
        s = levels / twice;
    }
    result.step = 1.0F / s;
    const std::int64_t lowest = -(std::int64_t{1} << (coding.bits - 1));
    const std::int64_t highest = -lowest - 1;
    for (std::size_t i = 0; i < group.size(); ++i) {
        const float centred = coding.asymmetric ? group[i] - result.offset : group[i];
        const float v = centred * s;
        std::int64_t code = 0;
        if (noise.has_value()) {
            const float t = std::floor(v);
            const float e = v - t;
            const float u = uniform(noise->seed, noise->offset + first_index + i);
            code = to_integer(t) + (u < e ? 1 : 0);
        } else {
            code = to_integer(std::nearbyint(v));  // ties to even
        }
        result.codes[i] = static_cast<int>(std::clamp(code, lowest, highest));
    }
    return result;
}

float decode_code(int code, std::span<const float> record) {
    const auto q = static_cast<float>(code);
    return record.size() == 2 ? std::fma(q, record[0], record[1]) : q * record[0];
}

// Section 7's last three rows.
float new_error(Element element, float h, int code, std::span<const float> record, float beta,
                float error) {
    const float d = round_to(element, decode_code(code, record));
    const float w = h - d;
    const float rest = 1.0F - beta;
    const float kept = beta * error;
    return round_to(element, std::fma(rest, w, kept));
}

// Quantizes group after group of `values`, which have the working dtype already; group g goes to
// `positions[g]`. `errors`, in output order, becomes the new error feedback.
Quantized quantize_groups(Element element, std::span<const float> values,
                          std::span<const std::size_t> positions, Coding coding,
                          const std::optional<Noise>& noise, const std::vector<float>* errors,
                          float beta) {
    const std::size_t groups = positions.size();
    const std::size_t n = values.size() / groups;
    std::vector<int> codes(values.size());
    std::vector<float> next(values.size());
    Quantized result;
    result.params.resize(groups * coding.record());
    for (std::size_t g = 0; g < groups; ++g) {
        const auto group = values.subspan(g * n, n);
        const GroupCodes got = quantize_group(group, coding, noise, g * n);
        const std::size_t to = positions[g];
        const std::span<float> record =
            std::span(result.params).subspan(to * coding.record(), coding.record());
        record[0] = got.step;
        if (coding.asymmetric) {
            record[1] = got.offset;
        }
        for (std::size_t i = 0; i < n; ++i) {
            codes[to * n + i] = got.codes[i];
            if (errors != nullptr) {
                next[to * n + i] = got.poisoned ? kNan
                                                : new_error(element, group[i], got.codes[i], record,
                                                            beta, (*errors)[to * n + i]);
            }
        }
    }
    result.codes = pack(codes, coding.bits);
    if (errors != nullptr) {
        result.error = encode(element, next);
    }
    return result;
}

std::vector<std::size_t> in_order(std::int64_t groups) {
    std::vector<std::size_t> positions(static_cast<std::size_t>(groups));
    for (std::size_t g = 0; g < positions.size(); ++g) {
        positions[g] = g;
    }
    return positions;
}

}  // namespace

std::vector<std::byte> pack(std::span<const int> codes, int bits) {
    const auto width = static_cast<std::size_t>(bits);
    std::vector<std::byte> stream(codes.size() * width / 8);
    const std::size_t in_a_byte = 8 / width;
    const unsigned mask = (1U << width) - 1U;
    for (std::size_t i = 0; i < codes.size(); ++i) {
        const std::size_t shift = 8 - width * (i % in_a_byte + 1);
        stream[i / in_a_byte] |= std::byte((static_cast<unsigned>(codes[i]) & mask) << shift);
    }
    return stream;
}

std::vector<int> unpack(std::span<const std::byte> stream, int bits) {
    const auto width = static_cast<std::size_t>(bits);
    const std::size_t in_a_byte = 8 / width;
    std::vector<int> codes(stream.size() * in_a_byte);
    for (std::size_t i = 0; i < codes.size(); ++i) {
        const std::size_t shift = 8 - width * (i % in_a_byte + 1);
        const int code = (std::to_integer<int>(stream[i / in_a_byte]) >> shift) & ((1 << bits) - 1);
        codes[i] = code >= 1 << (bits - 1) ? code - (1 << bits) : code;
    }
    return codes;
}

Quantized quantize(Element element, std::span<const std::byte> tensor, std::int64_t groups,
                   Coding coding, std::optional<Noise> noise) {
    return quantize_groups(element, decode(element, tensor), in_order(groups), coding, noise,
                           nullptr, 0);
}

std::vector<float> dequantize(std::span<const std::byte> codes, std::span<const float> params,
                              std::int64_t groups, Coding coding) {
    const std::vector<int> numbers = unpack(codes, coding.bits);
    const std::size_t n = numbers.size() / static_cast<std::size_t>(groups);
    std::vector<float> values(numbers.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] =
            decode_code(numbers[i], params.subspan(i / n * coding.record(), coding.record()));
    }
    return values;
}

std::vector<std::byte> dequantize_experimental(std::span<const std::byte> codes,
                                               std::span<const std::byte> scale,
                                               std::span<const std::byte> min, std::int64_t groups,
                                               int bits) {
    const std::vector<float> scales = decode(Element::fp16, scale);
    const std::vector<float> mins = decode(Element::fp16, min);
    const std::vector<int> numbers = unpack(codes, bits);
    std::vector<float> values(numbers.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t g = i * static_cast<std::size_t>(groups) / values.size();
        const auto u = static_cast<float>(numbers[i] & ((1 << bits) - 1));  // unsigned codes
        // fp32 has more than twice fp16's digits, so that rounding twice is rounding once.
        const float quotient = round_to(Element::fp16, u / scales[g]);
        values[i] = quotient + mins[g];
    }
    return encode(Element::fp16, values);
}

std::vector<std::size_t> swizzled_positions(std::int64_t groups, Partition partition) {
    const std::int64_t partitions = partition.nodes * partition.devices;
    const std::int64_t together = groups / (partitions * partition.pipeline);
    std::vector<std::size_t> positions(static_cast<std::size_t>(groups));
    for (std::int64_t p = 0; p < partitions; ++p) {
        for (std::int64_t y = 0; y < partition.pipeline; ++y) {
            for (std::int64_t c = 0; c < together; ++c) {
                const std::int64_t from = (p * partition.pipeline + y) * together + c;
                const std::int64_t neighbour =
                    (p % partition.devices) * partition.nodes + p / partition.devices;
                positions[static_cast<std::size_t>(from)] =
                    static_cast<std::size_t>((y * partitions + neighbour) * together + c);
            }
        }
    }
    return positions;
}

Quantized swizzle_quant(Element element, std::span<const std::byte> tensor, std::int64_t groups,
                        Coding coding, Partition partition,
                        const std::optional<Feedback>& feedback) {
    const std::vector<std::size_t> positions = swizzled_positions(groups, partition);
    std::vector<float> values = decode(element, tensor);
    if (!feedback.has_value()) {
        return quantize_groups(element, values, positions, coding, {}, nullptr, 0);
    }
    const std::vector<float> errors = decode(element, feedback->error);
    const std::size_t n = values.size() / positions.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = round_to(element, values[i] + errors[positions[i / n] * n + i % n]);
    }
    return quantize_groups(element, values, positions, coding, {}, &errors, feedback->beta);
}

Quantized quantized_reduction(Element element, std::span<const std::byte> codes,
                              std::span<const float> params, Coding coding, Reduction reduction,
                              const std::optional<Feedback>& feedback) {
    const std::vector<float> decoded = dequantize(codes, params, reduction.in_groups, coding);
    std::vector<float> sums(decoded.size() / static_cast<std::size_t>(reduction.devices));
    for (std::size_t i = 0; i < decoded.size(); ++i) {  // device after device
        float& sum = sums[i % sums.size()];
        sum = round_to(element, sum + round_to(element, decoded[i]));
    }
    const std::vector<std::size_t> positions = in_order(reduction.out_groups);
    if (!feedback.has_value()) {
        return quantize_groups(element, sums, positions, coding, {}, nullptr, 0);
    }
    const std::vector<float> errors = decode(element, feedback->error);
    for (std::size_t i = 0; i < sums.size(); ++i) {
        sums[i] = round_to(element, sums[i] + errors[i]);
    }
    return quantize_groups(element, sums, positions, coding, {}, &errors, feedback->beta);
}

}  // namespace opforge::test::oracle
