#include "sweep.hpp"

#include "golden/compare.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <sstream>
#include <vector>

namespace opforge::test {

using oracle::Element;

namespace {

constexpr std::byte kBorder{0xA5};
constexpr std::size_t kBorderBytes = 64;
constexpr std::size_t kAlignment = 64;

float largest(Element element) {
    switch (element) {
    case Element::fp16:
        return 65504.0F;
    case Element::bf16:
        return oracle::bfloat_to_float(0x7f7f);
    case Element::fp32:
        break;
    }
    return std::numeric_limits<float>::max();
}

int smallest_exponent(Element element) {  // of the smallest subnormal
    return element == Element::fp16 ? -24 : element == Element::bf16 ? -133 : -149;
}

// Symmetric and asymmetric codes are whole numbers plus a half, where the contract's 1e-5 vanishes
// beside the range.
void fill_with_ties(std::vector<float>& values, const SweepCase& of, SplitMix& random) {
    const auto half_levels = std::int64_t{1} << (of.settings.bits - 1);
    const int step_exponent =
        static_cast<int>(std::max<std::int64_t>(0, 9 - of.settings.bits) +
                         (of.element == Element::fp16 ? 0 : random.between(0, 3)));
    const auto n = static_cast<std::size_t>(of.group_size);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::int64_t code = random.between(-half_levels, half_levels - 1);
        values[i] = std::ldexp(static_cast<float>(code) + 0.5F, step_exponent);
        if (i % n == 0) {
            values[i] = std::ldexp(static_cast<float>(-half_levels), step_exponent);
        } else if (i % n == 1) {
            values[i] = std::ldexp(static_cast<float>(half_levels), step_exponent);
        }
    }
}

std::vector<float> make_values(const SweepCase& of, SplitMix& random) {
    std::vector<float> values(of.elements());
    const float top = largest(of.element);
    const int scale = static_cast<int>(of.element == Element::fp16 ? random.between(-20, 13)
                                                                   : random.between(-120, 120));
    const float base = random.normal() * 10.0F;
    const float sign = random.chance(50) ? 1.0F : -1.0F;
    const float step = random.unit() * 0.1F;
    for (std::size_t i = 0; i < values.size(); ++i) {
        switch (of.pattern) {
        case Pattern::uniform:
            values[i] = random.unit();
            break;
        case Pattern::scaled:
            values[i] = std::ldexp(random.normal(), scale);
            break;
        case Pattern::heavy: {
            const float x = random.normal();
            values[i] = x * x * x * x * x;
            break;
        }
        case Pattern::subnormal:
            values[i] = std::ldexp(static_cast<float>(random.between(-127, 127)),
                                   smallest_exponent(of.element));
            break;
        case Pattern::huge:
            values[i] = top * (random.unit() - 0.5F) * (random.chance(50) ? 2.0F : 0.9F);
            break;
        case Pattern::constant:
            values[i] = base;
            break;
        case Pattern::zeros:
            values[i] = random.chance(50) ? 0.0F : -0.0F;
            break;
        case Pattern::far:
            values[i] = sign * (12000.0F + 100.0F * random.normal());
            break;
        case Pattern::ramp:
            values[i] = base + step * static_cast<float>(i);
            break;
        case Pattern::normal:
        case Pattern::one_huge:
        case Pattern::ties:
        case Pattern::random_bits:
        case Pattern::nan:
        case Pattern::infinity:
            values[i] = random.normal();
            break;
        }
    }
    if (of.pattern == Pattern::ties) {
        fill_with_ties(values, of, random);
    }
    const auto anywhere =
        static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(values.size()) - 1));
    if (of.pattern == Pattern::one_huge) {
        values[anywhere] = sign * top * 0.4F;
    } else if (of.pattern == Pattern::nan) {
        values[anywhere] = std::numeric_limits<float>::quiet_NaN();
    } else if (of.pattern == Pattern::infinity) {
        values[anywhere] = sign * std::numeric_limits<float>::infinity();
    }
    return values;
}

}  // namespace

std::uint64_t first_seed(std::uint64_t usual, std::uint64_t cases) {
    const char* const asked = std::getenv("SWEEP_SEED");
    const std::uint64_t seed = asked == nullptr ? usual : std::strtoull(asked, nullptr, 10);
    std::cout << "sweep of " << cases << " cases from seed " << seed << '\n';
    return seed;
}

std::uint64_t SplitMix::next() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
}

std::int64_t SplitMix::between(std::int64_t low, std::int64_t high) noexcept {
    const auto width = static_cast<std::uint64_t>(high - low) + 1;
    return low + static_cast<std::int64_t>(next() % width);
}

float SplitMix::unit() noexcept {
    return static_cast<float>(next() >> 40U) * 0x1p-24F;
}

float SplitMix::normal() noexcept {
    // Twelve uniform numbers, 21 bits each, by four draws: close enough to normal, and only exact
    // operations.
    float sum = -6.0F;
    for (int draw = 0; draw < 4; ++draw) {
        const std::uint64_t bits = next();
        for (const unsigned shift : {0U, 21U, 42U}) {
            sum += static_cast<float>((bits >> shift) & 0x1fffffU) * 0x1p-21F;
        }
    }
    return sum;
}

std::int64_t random_group_size(SplitMix& random, std::int64_t max_elements) {
    const std::int64_t kind = random.between(0, 99);
    std::int64_t size = 1;
    if (kind < 25) {
        size = random.between(1, 9);
    } else if (kind < 60) {
        size = random.between(1, 130);
    } else if (kind < 80) {
        size = random.between(1, 1100);
    } else if (kind < 97) {
        size = (std::int64_t{1} << random.between(1, 12)) + random.between(-1, 1);
    } else {
        size = random.between(1, max_elements);
    }
    return std::clamp<std::int64_t>(size, 1, max_elements);
}

std::uint64_t random_offset(SplitMix& random) {
    const auto any = [&]() -> std::uint64_t {
        switch (random.between(0, 4)) {
        case 0:
            return 0;
        case 1:
            return static_cast<std::uint64_t>(random.between(0, 1000));
        case 2:  // the counter's low word is about to overflow
            return (std::uint64_t{1} << 34U) - static_cast<std::uint64_t>(random.between(0, 300));
        case 3:  // and the index itself
            return std::uint64_t{0} - static_cast<std::uint64_t>(random.between(0, 300));
        default:
            return random.next();
        }
    };
    const std::uint64_t offset = any();
    return random.chance(70) ? offset / 4 * 4 : offset;
}

bool draws_whole_counters(const runtime::RandomState& state, std::int64_t elements) {
    const std::uint64_t last = state.offset + static_cast<std::uint64_t>(elements) - 1;
    return state.offset % 4 == 0 && state.offset >> 34U == last >> 34U;
}

std::string_view name(Pattern pattern) {
    constexpr std::array<std::string_view, kPatterns> kNames = {
        "normal", "uniform", "scaled", "heavy", "subnormal",   "huge", "one_huge", "constant",
        "zeros",  "ties",    "far",    "ramp",  "random_bits", "nan",  "infinity"};
    return kNames[static_cast<std::size_t>(pattern)];
}

SweepCase random_case(std::uint64_t seed, std::int64_t max_elements) {
    SplitMix random(seed);
    SweepCase of;
    of.seed = seed;
    of.element = static_cast<Element>(random.between(0, 2));
    of.group_size = random_group_size(random, max_elements);
    const std::int64_t most = max_elements / of.group_size;
    of.settings.groups =
        random.between(1, random.chance(90) ? std::min<std::int64_t>(most, 40) : most);
    of.settings.bits = static_cast<int>(random.between(2, 16));
    of.settings.stochastic = random.chance(50);
    of.settings.asymmetric = random.chance(50);
    of.settings.seed = random.next();
    of.settings.offset = random_offset(random);
    of.pattern = static_cast<Pattern>(random.between(0, kPatterns - 1));
    of.input_skew = static_cast<std::size_t>(random.chance(50) ? 0 : random.between(1, 15));
    of.output_skew = static_cast<std::size_t>(random.chance(50) ? 0 : random.between(1, 15));
    of.into_output = random.chance(50);
    of.threads = static_cast<int>(random.between(1, 4));
    return of;
}

Bytes make_input(const SweepCase& of) {
    SplitMix random(of.seed ^ 0x5DEECE66DU);
    if (of.pattern == Pattern::random_bits) {
        Bytes bytes(of.size_bytes());
        for (std::byte& byte : bytes) {
            byte = static_cast<std::byte>(random.next());
        }
        return bytes;
    }
    return oracle::encode(of.element, make_values(of, random));
}

std::string describe(const SweepCase& of) {
    std::ostringstream text;
    text << "case seed " << of.seed << ": " << oracle::name(of.element) << ", "
         << of.settings.groups << " groups of " << of.group_size << ", " << of.settings.bits
         << " bits, " << (of.settings.asymmetric ? "asymmetric" : "symmetric");
    if (of.settings.stochastic) {
        text << ", stochastic (seed " << of.settings.seed << ", offset " << of.settings.offset
             << ")";
    }
    text << ", pattern " << name(of.pattern) << ", input skew " << of.input_skew;
    if (of.into_output) {
        text << ", output skew " << of.output_skew;
    }
    text << ", threads " << of.threads;
    return text.str();
}

runtime::Dtype dtype_of(Element element) noexcept {
    switch (element) {
    case Element::fp16:
        return runtime::Dtype::float16;
    case Element::bf16:
        return runtime::Dtype::bfloat16;
    case Element::fp32:
        break;
    }
    return runtime::Dtype::float32;
}

runtime::TensorView view_of(const SweepCase& of, void* data, runtime::Device device) {
    return {data, dtype_of(of.element), runtime::Shape{of.settings.groups, of.group_size}, device};
}

std::string mismatch(const SweepCase& of, std::span<const std::byte> expected,
                     std::span<const std::byte> actual) {
    const std::string_view dtype = runtime::to_string(dtype_of(of.element));
    const auto index = golden::first_difference(dtype, expected, actual);
    if (!index.has_value()) {
        return {};
    }
    std::ostringstream text;
    text << describe(of) << "\n  element " << *index << ": expected "
         << golden::show_element(dtype, expected, *index) << ", got "
         << golden::show_element(dtype, actual, *index);
    return text.str();
}

GuardedTensor::GuardedTensor(std::span<const std::byte> tensor, std::size_t skew_bytes)
    : storage_(kBorderBytes + kAlignment + skew_bytes + tensor.size() + kBorderBytes, kBorder),
      size_(tensor.size()) {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data()) + kBorderBytes;
    begin_ = kBorderBytes + (kAlignment - address % kAlignment) % kAlignment + skew_bytes;
    std::copy(tensor.begin(), tensor.end(), storage_.begin() + static_cast<std::ptrdiff_t>(begin_));
}

std::byte* GuardedTensor::data() noexcept {
    return storage_.data() + begin_;
}

std::span<const std::byte> GuardedTensor::bytes() const noexcept {
    return std::span(storage_).subspan(begin_, size_);
}

bool GuardedTensor::border_is_intact() const noexcept {
    const auto is_border = [](std::byte byte) { return byte == kBorder; };
    const auto begin = storage_.begin() + static_cast<std::ptrdiff_t>(begin_);
    return std::all_of(storage_.begin(), begin, is_border) &&
           std::all_of(begin + static_cast<std::ptrdiff_t>(size_), storage_.end(), is_border);
}

}  // namespace opforge::test
