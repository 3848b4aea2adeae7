#include "ops_sweep.hpp"

#include "support/oracle_ops.hpp"

#include "golden/compare.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace opforge::test {

using oracle::Element;
using runtime::Dtype;
using runtime::Shape;

namespace {

constexpr std::byte kUnwritten{0x3C};

std::size_t record_size(const OpsCase& of) {
    return of.asymmetric ? 2 : 1;
}

std::int64_t bytes_of_codes(std::int64_t elements, int bits) {
    return elements * bits / 8;
}

Bytes random_bytes(SplitMix& random, std::int64_t size) {
    Bytes bytes(static_cast<std::size_t>(size));
    for (std::byte& byte : bytes) {
        byte = static_cast<std::byte>(random.next());
    }
    return bytes;
}

// Values in the layout and dtype of the case, for its groups of `group_size`.
Bytes make_values(const OpsCase& of, Pattern pattern, std::uint64_t seed, std::int64_t groups,
                  std::int64_t group_size) {
    if (groups * group_size == 0) {
        return {};
    }
    SweepCase values;
    values.seed = seed;
    values.element = of.element;
    values.settings.groups = groups;
    values.settings.bits = of.bits;
    values.group_size = group_size;
    values.pattern = pattern;
    return make_input(values);
}

Bytes near_the_top(const OpsCase& of, SplitMix& random) {
    const float top = of.element == Element::fp16 ? 65504.0F : 3.38e38F;
    const float sign = random.chance(50) ? 1.0F : -1.0F;
    std::vector<float> values(static_cast<std::size_t>(of.elements()));
    for (float& value : values) {
        value = sign * top * (0.45F + 0.2F * random.unit());
    }
    return oracle::encode(of.element, values);
}

float random_step(const OpsCase& of, SplitMix& random) {
    switch (of.records) {
    case Records::powers_of_two:
        return 0.125F;
    case Records::large:
        return std::ldexp(random.unit(), of.element == Element::fp16 ? 10 : 121);
    case Records::tiny:
        return std::ldexp(random.unit(), static_cast<int>(random.between(-150, -20)));
    case Records::usual:
    case Records::one_bad:
    case Records::random_bits:
        break;
    }
    return std::ldexp(0.5F + random.unit(), static_cast<int>(random.between(-8, 1)));
}

Bytes make_records(const OpsCase& of, SplitMix& random) {
    const std::size_t each = record_size(of);
    const std::size_t count = static_cast<std::size_t>(of.groups) * each;
    if (of.records == Records::random_bits) {
        return random_bytes(random, static_cast<std::int64_t>(count * 4));
    }
    std::vector<float> records(count);
    for (std::size_t i = 0; i < count; ++i) {
        const float step = random_step(of, random);
        const float centre =
            of.records == Records::powers_of_two ? std::round(random.normal()) : random.normal();
        records[i] = each == 2 && i % 2 == 1 ? centre * 20.0F * step : step;
    }
    if (of.records == Records::one_bad && count != 0) {
        constexpr std::array<float, 4> kBad = {std::numeric_limits<float>::quiet_NaN(),
                                               std::numeric_limits<float>::infinity(),
                                               -std::numeric_limits<float>::infinity(), 0.0F};
        const auto where =
            static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(count) - 1));
        records[where] = kBad[static_cast<std::size_t>(random.between(0, 3))];
    }
    return oracle::encode(Element::fp32, records);
}

// An experimental dequantizer's scales or minima.
Bytes make_halves(const OpsCase& of, SplitMix& random, bool scales) {
    if (of.records == Records::random_bits) {
        return random_bytes(random, of.groups * 2);
    }
    constexpr std::array<float, 5> kBad = {0.0F, -0.0F, std::numeric_limits<float>::infinity(),
                                           std::numeric_limits<float>::quiet_NaN(), 0x1p-24F};
    std::vector<float> values(static_cast<std::size_t>(of.groups));
    for (float& value : values) {
        const int exponent = of.records == Records::large ? static_cast<int>(random.between(8, 15))
                             : of.records == Records::tiny
                                 ? static_cast<int>(random.between(-24, -8))
                                 : static_cast<int>(random.between(-4, 6));
        value = scales ? std::ldexp(0.5F + random.unit(), exponent) : random.normal() * 4.0F;
        if (of.records == Records::one_bad && random.chance(30)) {
            value = kBad[static_cast<std::size_t>(random.between(0, 4))];
        }
    }
    return oracle::encode(Element::fp16, values);
}

Bytes make_error(const OpsCase& of, SplitMix& random) {
    const std::int64_t elements = of.out_elements();
    const std::int64_t kind = random.between(0, 9);
    const Pattern pattern = kind < 5   ? of.pattern
                            : kind < 7 ? Pattern::zeros
                            : kind < 9 ? Pattern::normal
                                       : Pattern::random_bits;
    return make_values(of, pattern, random.next(), 1, elements);
}

Shape shape_of(const OpsCase& of, std::int64_t groups, std::int64_t size) {
    switch (of.shape) {
    case 1:
        return Shape{size};
    case 2:
        return Shape{1, size};
    default:
        // Reductions: every row holds a part of every device.
        return of.reduces() ? Shape{groups / of.devices, size / groups * of.devices}
                            : Shape{groups, size / groups};
    }
}

OpsTensor unwritten(Dtype dtype, Shape shape) {
    const auto size = static_cast<std::size_t>(shape.elements()) * runtime::size_bytes(dtype);
    return {dtype, shape, Bytes(size, kUnwritten), true};
}

std::vector<float> floats(const OpsTensor& tensor) {
    return oracle::decode(Element::fp32, tensor.bytes);
}

// The oracle's result in the tensors of the call.
void store(OpsTensors& tensors, const oracle::Quantized& result) {
    tensors[Role::output]->bytes = result.codes;
    tensors[Role::params]->bytes = oracle::encode(Element::fp32, result.params);
    if (tensors[Role::error].has_value()) {
        tensors[Role::error]->bytes = result.error;
    }
}

std::string_view name(Records records) {
    constexpr std::array<std::string_view, kRecordKinds> kNames = {
        "usual", "powers_of_two", "large", "tiny", "one_bad", "random_bits"};
    return kNames[static_cast<std::size_t>(records)];
}

int random_bits_of(SplitMix& random, const OpsCase& of) {
    if (of.op == Op::dequantize_int4) {
        return 4;
    }
    if (of.op == Op::dequantize_int8) {
        return 8;
    }
    if (of.op == Op::quantize || of.op == Op::dequantize) {
        return 1 << random.between(1, 3);
    }
    return random.chance(50) ? 4 : 8;
}

void choose_layout(OpsCase& of, SplitMix& random, std::int64_t max_elements) {
    const std::int64_t unit = whole_bytes(of.bits);
    if (of.swizzles()) {
        of.pipeline = random.between(1, 4);
        of.nodes = random.between(1, random.chance(90) ? 4 : 9);
        of.devices = random.between(1, random.chance(90) ? 8 : 17);
        of.groups = of.pipeline * of.nodes * of.devices * random.between(1, 5);
    } else if (of.reduces()) {
        of.devices = random.between(1, random.chance(90) ? 8 : 70);
        of.groups = of.devices * random.between(1, 9);
    }
    const std::int64_t most = std::max(unit, max_elements / of.groups / unit * unit);
    of.group_size = (random_group_size(random, most) + unit - 1) / unit * unit;
    of.group_size = std::min(of.group_size, most);
    if (random.chance(1)) {
        of.group_size = 0;
    }
    if (!of.swizzles() && !of.reduces()) {
        const std::int64_t fit = max_elements / std::max<std::int64_t>(1, of.group_size);
        of.groups = random.between(
            1,
            std::max<std::int64_t>(1, random.chance(90) ? std::min<std::int64_t>(fit, 40) : fit));
    }
    of.out_groups = of.reduces() ? random_out_groups(random, of.out_elements(), of.bits) : 1;
}

}  // namespace

std::int64_t whole_bytes(int bits) noexcept {
    return std::max(1, 8 / bits);
}

std::int64_t random_out_groups(SplitMix& random, std::int64_t elements, int bits) {
    if (elements == 0) {
        return random.between(1, 9);
    }
    std::vector<std::int64_t> choices;
    const auto consider = [&](std::int64_t groups) {
        if (elements / groups % whole_bytes(bits) == 0) {
            choices.push_back(groups);
        }
    };
    for (std::int64_t divisor = 1; divisor * divisor <= elements; ++divisor) {
        if (elements % divisor == 0) {
            consider(divisor);
            consider(elements / divisor);
        }
    }
    return choices[static_cast<std::size_t>(
        random.between(0, static_cast<std::int64_t>(choices.size()) - 1))];
}

OpsCase random_ops_case(std::uint64_t seed, std::int64_t max_elements) {
    SplitMix random(seed);
    OpsCase of;
    of.seed = seed;
    of.op = static_cast<Op>(random.between(0, kOps - 1));
    of.element = static_cast<Element>(random.between(0, 2));
    if (of.op == Op::dequantize_int4 || of.op == Op::dequantize_int8) {
        of.element = Element::fp16;
    }
    of.bits = random_bits_of(random, of);
    of.asymmetric = random.chance(50);
    choose_layout(of, random, max_elements);
    constexpr std::array<float, 6> kBetas = {0.0F, 1.0F, 0.5F, 0.8F, 0.3F, 1.0F / 3.0F};
    of.beta =
        random.chance(60) ? kBetas[static_cast<std::size_t>(random.between(0, 5))] : random.unit();
    of.stochastic = of.op == Op::quantize && random.chance(50);
    of.random = {random.next(), random_offset(random)};
    of.pattern = static_cast<Pattern>(random.between(0, kPatterns - 1));
    of.near_top = random.chance(3);
    of.records = random.chance(50) ? Records::usual
                                   : static_cast<Records>(random.between(0, kRecordKinds - 1));
    of.shape = static_cast<int>(random.between(0, 2));
    for (const Role role : kAllRoles) {
        of.skew[role] = static_cast<std::size_t>(random.chance(50) ? 0 : random.between(1, 15));
    }
    of.threads = static_cast<int>(random.between(1, 4));
    return of;
}

OpsCase ops_case(Op op, std::uint64_t number, std::int64_t group_size) {
    const auto digit = [&number](std::uint64_t base) {
        const std::uint64_t value = number % base;
        number /= base;
        return static_cast<int>(value);
    };
    OpsCase of;
    of.seed = number * kOps + static_cast<std::uint64_t>(op);
    of.random = {number, number % 4 == 3 ? number * 3 + 1 : number * 4};
    of.op = op;
    const bool experimental = op == Op::dequantize_int4 || op == Op::dequantize_int8;
    const int element = digit(3);
    of.element = experimental ? Element::fp16 : static_cast<Element>(element);
    of.asymmetric = digit(2) != 0;
    of.stochastic = digit(2) != 0 && op == Op::quantize;
    const int width = digit(3);
    of.bits = experimental ? (op == Op::dequantize_int4 ? 4 : 8) : width == 0 ? 8 : 4;
    if (width == 2 && (op == Op::quantize || op == Op::dequantize)) {
        of.bits = 2;
    }
    of.beta = 0.25F;
    const std::int64_t unit = whole_bytes(of.bits);
    of.group_size = (group_size + unit - 1) / unit * unit;
    of.groups = 4;
    if (of.swizzles()) {
        of.nodes = 2;
        of.devices = 2;
    } else if (of.reduces()) {
        of.devices = 2;
        of.out_groups = 1 + width % 2;
    }
    return of;
}

std::string describe(const OpsCase& of) {
    std::ostringstream text;
    text << "case seed " << of.seed << ": " << name(of.op, dtype_of(of.element)) << ", "
         << oracle::name(of.element) << ", " << of.groups << " groups of " << of.group_size << ", "
         << of.bits << " bits, " << (of.asymmetric ? "asymmetric" : "symmetric");
    if (of.swizzles()) {
        text << ", pipeline " << of.pipeline << ", nodes " << of.nodes;
    }
    if (of.swizzles() || of.reduces()) {
        text << ", devices " << of.devices;
    }
    if (of.reduces()) {
        text << ", out groups " << of.out_groups;
    }
    if (of.has_error()) {
        text << ", beta " << of.beta;
    }
    if (of.stochastic) {
        text << ", stochastic (seed " << of.random.seed << ", offset " << of.random.offset << ")";
    }
    text << ", pattern " << name(of.pattern) << (of.near_top ? " (near the top)" : "")
         << ", records " << name(of.records) << ", shape " << of.shape << ", skews";
    for (const Role role : kAllRoles) {
        text << ' ' << of.skew[role];
    }
    text << ", threads " << of.threads;
    return text.str();
}

OpsTensors make_tensors(const OpsCase& of) {
    SplitMix random(of.seed ^ 0x2545F4914F6CDD1DU);
    const Dtype values = dtype_of(of.element);
    const auto each = static_cast<std::int64_t>(record_size(of));
    OpsTensors tensors;
    if (of.decodes() || of.reduces()) {
        const std::int64_t size = bytes_of_codes(of.elements(), of.bits);
        tensors[Role::input] = {random.chance(50) ? Dtype::int8 : Dtype::uint8,
                                shape_of(of, of.groups, size), random_bytes(random, size), false};
    } else {
        Bytes bytes = of.near_top
                          ? near_the_top(of, random)
                          : make_values(of, of.pattern, random.next(), of.groups, of.group_size);
        tensors[Role::input] = {values, shape_of(of, of.groups, of.elements()), std::move(bytes),
                                false};
    }
    if (of.op == Op::dequantize_int4 || of.op == Op::dequantize_int8) {
        tensors[Role::records] = {Dtype::float16, Shape{of.groups, 1},
                                  make_halves(of, random, true), false};
        tensors[Role::min] = {Dtype::float16, Shape{of.groups}, make_halves(of, random, false),
                              false};
    } else if (of.decodes() || of.reduces()) {
        tensors[Role::records] = {Dtype::float32, Shape{of.groups, each}, make_records(of, random),
                                  false};
    }
    if (of.has_error()) {
        tensors[Role::error] = {values, Shape{of.out_elements()}, make_error(of, random), true};
    }
    if (of.decodes()) {
        tensors[Role::output] = unwritten(values, Shape{of.elements()});
    } else {
        tensors[Role::output] =
            unwritten(Dtype::int8, Shape{bytes_of_codes(of.out_elements(), of.bits)});
        tensors[Role::params] =
            unwritten(Dtype::float32, Shape{of.reduces() ? of.out_groups : of.groups, each});
    }
    return tensors;
}

OpsTensors expected_tensors(const OpsCase& of, const OpsTensors& before) {
    OpsTensors tensors = before;
    const Bytes& input = before[Role::input]->bytes;
    const oracle::Coding coding{of.bits, of.asymmetric};
    std::optional<oracle::Feedback> feedback;
    if (of.has_error()) {
        feedback = oracle::Feedback{before[Role::error]->bytes, of.beta};
    }
    switch (of.op) {
    case Op::quantize: {
        std::optional<oracle::Noise> noise;
        if (of.stochastic) {
            noise = oracle::Noise{of.random.seed, of.random.offset};
        }
        store(tensors, oracle::quantize(of.element, input, of.groups, coding, noise));
        break;
    }
    case Op::dequantize:
        tensors[Role::output]->bytes =
            oracle::encode(of.element, oracle::dequantize(input, floats(*before[Role::records]),
                                                          of.groups, coding));
        break;
    case Op::dequantize_int4:
    case Op::dequantize_int8:
        tensors[Role::output]->bytes = oracle::dequantize_experimental(
            input, before[Role::records]->bytes, before[Role::min]->bytes, of.groups, of.bits);
        break;
    case Op::swizzle_quant:
    case Op::loco_swizzle_quant:
        store(tensors, oracle::swizzle_quant(of.element, input, of.groups, coding,
                                             {of.pipeline, of.nodes, of.devices}, feedback));
        break;
    case Op::quantized_reduction:
    case Op::loco_quantized_reduction:
        store(tensors,
              oracle::quantized_reduction(of.element, input, floats(*before[Role::records]), coding,
                                          {of.groups, of.out_groups, of.devices}, feedback));
        break;
    }
    return tensors;
}

OpsCall make_call(const OpsCase& of, const OpsTensors& tensors, const ByRole<void*>& memory,
                  runtime::Device device) {
    OpsCall call;
    call.op = of.op;
    for (const Role role : kAllRoles) {
        if (const auto& tensor = tensors[role]; tensor.has_value()) {
            call.tensors[role] =
                runtime::TensorView{memory[role], tensor->dtype, tensor->shape, device};
        }
    }
    call.groups = of.groups;
    call.group_size = of.group_size;
    call.out_groups = of.out_groups;
    call.bits = of.bits;
    call.type = of.asymmetric ? runtime::QuantizationType::asymmetric
                              : runtime::QuantizationType::symmetric;
    call.pipeline = of.pipeline;
    call.nodes = of.nodes;
    call.devices = of.devices;
    call.beta = of.beta;
    call.dtype = dtype_of(of.element);
    call.options.stochastic = of.stochastic;
    if (of.stochastic) {
        call.options.random = of.random;
    }
    call.options.threads = of.threads;
    return call;
}

std::string mismatch(const OpsCase& of, Role role, Dtype dtype, std::span<const std::byte> expected,
                     std::span<const std::byte> actual) {
    const std::string_view type = runtime::to_string(dtype);
    const auto index = golden::first_difference(type, expected, actual);
    if (!index.has_value()) {
        return {};
    }
    std::ostringstream text;
    text << describe(of) << "\n  " << name(role) << " element " << *index << ": expected "
         << golden::show_element(type, expected, *index) << ", got "
         << golden::show_element(type, actual, *index);
    return text.str();
}

GuardedTensors::GuardedTensors(const OpsCase& of, const OpsTensors& before) : of_(of) {
    for (const Role role : kAllRoles) {
        if (const auto& tensor = before[role]; tensor.has_value()) {
            tensors_[role].emplace(tensor->bytes,
                                   of.skew[role] * runtime::size_bytes(tensor->dtype));
            memory_[role] = tensors_[role]->data();
        }
    }
}

std::string GuardedTensors::mismatch(const OpsTensors& expected) const {
    for (const Role role : kAllRoles) {
        if (!tensors_[role].has_value()) {
            continue;
        }
        const OpsTensor& wanted = *expected[role];
        if (!tensors_[role]->border_is_intact()) {
            return describe(of_) + "\n  wrote outside the " + std::string(name(role));
        }
        const auto actual = tensors_[role]->bytes();
        if (!wanted.written && !std::equal(actual.begin(), actual.end(), wanted.bytes.begin())) {
            return describe(of_) + "\n  changed the " + std::string(name(role));
        }
        std::string text = test::mismatch(of_, role, wanted.dtype, wanted.bytes, actual);
        if (!text.empty()) {
            return text;
        }
    }
    return {};
}

}  // namespace opforge::test
