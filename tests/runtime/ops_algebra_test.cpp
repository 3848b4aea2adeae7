// What must hold of the ops with codes whatever their formulas: bounds, inverses, and one op in
// terms of others.
#include "host_ops.hpp"

#include "support/oracle_ops.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

namespace oracle = opforge::test::oracle;
namespace runtime = opforge::runtime;
using opforge::Bytes;
using oracle::Element;
using namespace opforge::test;

namespace {

constexpr double kHalfUlp = 0x1p-24;  // of fp32, relative

// Half the distance of the element type's numbers around `value`.
double half_ulp(Element element, double value) {
    const int digits = element == Element::fp16 ? 11 : element == Element::bf16 ? 8 : 24;
    const int smallest = element == Element::fp16 ? -14 : -126;
    const int exponent = value == 0 ? smallest : std::max(std::ilogb(value), smallest);
    return std::ldexp(1.0, exponent - digits);
}

SweepCase values_case(std::uint64_t seed, Element element, std::int64_t groups,
                      std::int64_t group_size, Pattern pattern = Pattern::normal) {
    SweepCase of;
    of.seed = seed;
    of.element = element;
    of.settings.groups = groups;
    of.group_size = group_size;
    of.pattern = pattern;
    return of;
}

Bytes normal_tensor(std::uint64_t seed, Element element, std::int64_t elements) {
    return make_input(values_case(seed, element, 1, elements));
}

// Codings, in every dtype, width among `bits` and type.
void for_each_coding(std::initializer_list<int> bits,
                     const std::function<void(const HostCoding&)>& visit) {
    for (int element = 0; element < 3; ++element) {
        for (const int width : bits) {
            for (const bool asymmetric : {false, true}) {
                const HostCoding coding{static_cast<Element>(element), width, asymmetric};
                CAPTURE(oracle::name(coding.element), width, asymmetric);
                visit(coding);
            }
        }
    }
}

bool same_floats(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// How far, at most, a value comes back from where it was.
//
// Let u = 2^-24, M the group's largest magnitude, and every fp32 operation exact but for a factor
// 1 + d, |d| <= u. With v the scaled value (x or x - o, times s) the code q is within 1/2 of v, or,
// where it saturates, within 1: the positive end is 2^(b-1) and is clamped to one less. In units of
// values that is (1/2 or 1) / s, and 1 / s is the step but for its own rounding. What else is lost
// is some u times magnitudes of at most M: the rounding of x - o and of v, of the offset itself,
// which also moves the ends of the range beyond the codes', of the step (q times it is at most M)
// and of the decoded value. 8 u M covers these, and half an ulp the rounding to the output's dtype.
double bound(Element element, bool saturates, double step, double largest, double decoded) {
    return (saturates ? 1.0 : 0.5) * step * (1 + 4 * kHalfUlp) + 8 * kHalfUlp * largest +
           half_ulp(element, decoded);
}

}  // namespace

TEST_CASE("what is quantized and decoded lies within half a step, a whole one where it saturates",
          "[runtime][algebra]") {
    constexpr std::int64_t kGroups = 5;
    constexpr std::int64_t kSize = 96;
    for_each_coding({2, 4, 8}, [&](const HostCoding& coding) {
        for (const Pattern pattern :
             {Pattern::normal, Pattern::uniform, Pattern::heavy, Pattern::constant, Pattern::zeros,
              Pattern::far, Pattern::ramp, Pattern::ties}) {
            const Bytes tensor =
                make_input(values_case(17, coding.element, kGroups, kSize, pattern));
            const auto values = oracle::decode(coding.element, tensor);
            const Coded coded = quantize_on_host(coding, tensor, kGroups);
            const auto decoded =
                oracle::decode(coding.element, dequantize_on_host(coding, coded, kGroups));
            const auto codes = oracle::unpack(coded.codes, coding.bits);
            double worst = 0;  // in bounds
            for (std::size_t i = 0; i < values.size(); ++i) {
                const std::size_t g = i / kSize;
                const auto group = values.begin() + static_cast<std::ptrdiff_t>(g * kSize);
                const double largest =
                    std::fabs(*std::max_element(group, group + kSize, [](float a, float b) {
                        return std::fabs(a) < std::fabs(b);
                    }));
                const bool saturates = codes[i] == (1 << (coding.bits - 1)) - 1;
                const double step = coded.params[g * (coding.asymmetric ? 2 : 1)];
                const double limit = bound(coding.element, saturates, step, largest, decoded[i]);
                worst = std::max(worst, std::fabs(double{decoded[i]} - double{values[i]}) / limit);
            }
            CAPTURE(static_cast<int>(pattern));
            CHECK(worst <= 1);
        }
    });
}

TEST_CASE("undoing the swizzle gives what quantize gives", "[runtime][algebra]") {
    constexpr std::int64_t kSize = 6;
    for (const HostPartition by :
         {HostPartition{1, 2, 4}, HostPartition{2, 2, 2}, HostPartition{3, 4, 1},
          HostPartition{2, 1, 5}, HostPartition{4, 3, 7}}) {
        for_each_coding({4, 8}, [&](const HostCoding& coding) {
            const std::int64_t partitions = by.nodes * by.devices;
            const std::int64_t together = 3;
            const std::int64_t groups = partitions * by.pipeline * together;
            const Bytes tensor = normal_tensor(23, coding.element, groups * kSize);
            const Coded plain = quantize_on_host(coding, tensor, groups);
            const Coded moved = swizzle_on_host(coding, tensor, groups, by);
            Coded back = moved;
            const auto code_bytes = static_cast<std::size_t>(kSize * coding.bits / 8);
            const std::size_t record = coding.asymmetric ? 2 : 1;
            for (std::int64_t o = 0; o < groups; ++o) {
                const std::int64_t chunk = o / together;
                const std::int64_t slice = chunk / partitions;
                const std::int64_t device = chunk % partitions / by.nodes;
                const std::int64_t node = chunk % by.nodes;
                const std::int64_t partition = node * by.devices + device;
                const auto to = static_cast<std::size_t>(
                    (partition * by.pipeline + slice) * together + o % together);
                const auto from = static_cast<std::size_t>(o);
                std::copy_n(moved.codes.begin() + static_cast<std::ptrdiff_t>(from * code_bytes),
                            code_bytes,
                            back.codes.begin() + static_cast<std::ptrdiff_t>(to * code_bytes));
                std::copy_n(moved.params.begin() + static_cast<std::ptrdiff_t>(from * record),
                            record, back.params.begin() + static_cast<std::ptrdiff_t>(to * record));
            }
            CHECK(back.codes == plain.codes);
            CHECK(same_floats(back.params, plain.params));
            CHECK(moved.codes != plain.codes);
        });
    }
}

TEST_CASE("one partition is not moved at all", "[runtime][algebra]") {
    for_each_coding({4, 8}, [&](const HostCoding& coding) {
        const Bytes tensor = normal_tensor(29, coding.element, 400);
        const Coded plain = quantize_on_host(coding, tensor, 10);
        const Coded moved = swizzle_on_host(coding, tensor, 10, {1, 1, 1});
        CHECK(moved.codes == plain.codes);
        CHECK(same_floats(moved.params, plain.params));
    });
}

TEST_CASE("a reduction of one device quantizes what it decoded", "[runtime][algebra]") {
    for_each_coding({4, 8}, [&](const HostCoding& coding) {
        const Coded coded = quantize_on_host(coding, normal_tensor(31, coding.element, 480), 12);
        const Coded reduced = reduce_on_host(coding, coded, {12, 5, 1});
        const Coded expected = quantize_on_host(coding, dequantize_on_host(coding, coded, 12), 5);
        CHECK(reduced.codes == expected.codes);
        CHECK(same_floats(reduced.params, expected.params));
    });
}

TEST_CASE("a reduction of a device and of its negative is zero", "[runtime][algebra]") {
    for_each_coding({4, 8}, [&](const HostCoding& coding) {
        Coded coded = quantize_on_host(coding, normal_tensor(37, coding.element, 240), 6);
        const Coded half = coded;
        coded.codes.insert(coded.codes.end(), half.codes.begin(), half.codes.end());
        for (const float number : half.params) {
            coded.params.push_back(-number);
        }
        const Coded sum = reduce_on_host(coding, coded, {12, 3, 2});
        CHECK(std::all_of(sum.codes.begin(), sum.codes.end(),
                          [](std::byte code) { return code == std::byte{0}; }));
        for (std::size_t i = 0; i < sum.params.size(); ++i) {
            CHECK(sum.params[i] == (coding.asymmetric && i % 2 == 1 ? 0.0F : 1.0F));
        }
    });
}

TEST_CASE("LoCo without memory keeps all that quantization drops", "[runtime][algebra]") {
    constexpr std::int64_t kElements = 640;
    for_each_coding({4, 8}, [&](const HostCoding& coding) {
        const auto values =
            oracle::decode(coding.element, normal_tensor(41, coding.element, kElements));
        auto error = oracle::decode(coding.element, normal_tensor(43, coding.element, kElements));
        std::vector<float> sums;
        for (std::size_t i = 0; i < values.size(); ++i) {
            error[i] *= 0.125F;
            sums.push_back(values[i] + error[i]);
        }
        const auto h = oracle::decode(coding.element, oracle::encode(coding.element, sums));
        const Coded coded = swizzle_on_host(coding, oracle::encode(coding.element, values), 8,
                                            {1, 1, 1}, oracle::encode(coding.element, error), 0.0F);
        const auto decoded = oracle::decode(coding.element, dequantize_on_host(coding, coded, 8));
        const auto kept = oracle::decode(coding.element, coded.error);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < h.size(); ++i) {
            const double dropped = double{h[i]} - double{decoded[i]};
            // fp32's rounding of the difference, then the dtype's.
            const double limit =
                half_ulp(Element::fp32, dropped) + half_ulp(coding.element, dropped);
            wrong += std::fabs(double{kept[i]} - dropped) <= limit ? 0U : 1U;
        }
        CHECK(wrong == 0);
    });
}

TEST_CASE("LoCo with a beta of one keeps the error it had", "[runtime][algebra]") {
    for_each_coding({4, 8}, [&](const HostCoding& coding) {
        const Bytes error = normal_tensor(47, coding.element, 320);  // no -0 among them
        const Coded coded = swizzle_on_host(coding, normal_tensor(53, coding.element, 320), 8,
                                            {1, 1, 1}, error, 1.0F);
        CHECK(coded.error == error);
    });
}

TEST_CASE("LoCo with an error of zero gives the codes of the op without it", "[runtime][algebra]") {
    for_each_coding({4, 8}, [&](const HostCoding& coding) {
        const Bytes tensor = normal_tensor(59, coding.element, 480);
        const Bytes zeros(tensor.size());
        const Coded plain = swizzle_on_host(coding, tensor, 12, {1, 2, 3});
        const Coded loco = swizzle_on_host(coding, tensor, 12, {1, 2, 3}, zeros, 0.5F);
        CHECK(loco.codes == plain.codes);
        CHECK(same_floats(loco.params, plain.params));
        const Coded sum = reduce_on_host(coding, plain, {12, 4, 2});
        const Bytes half(tensor.size() / 2);
        const Coded loco_sum = reduce_on_host(coding, plain, {12, 4, 2}, half, 0.5F);
        CHECK(loco_sum.codes == sum.codes);
        CHECK(same_floats(loco_sum.params, sum.params));
    });
}

TEST_CASE("the codes of a reversed group are its codes reversed", "[runtime][algebra]") {
    for_each_coding({2, 4, 8}, [&](const HostCoding& coding) {
        for (const std::int64_t size : {4, 8, 60, 1028, 40000}) {
            const Bytes tensor = normal_tensor(61, coding.element, size);
            auto values = oracle::decode(coding.element, tensor);
            std::reverse(values.begin(), values.end());
            const Coded forward = quantize_on_host(coding, tensor, 1);
            const Coded backward =
                quantize_on_host(coding, oracle::encode(coding.element, values), 1);
            auto codes = oracle::unpack(backward.codes, coding.bits);
            std::reverse(codes.begin(), codes.end());
            CHECK(codes == oracle::unpack(forward.codes, coding.bits));
            CHECK(same_floats(forward.params, backward.params));
        }
    });
}

TEST_CASE("values twice as large have the same codes and steps twice as large",
          "[runtime][algebra]") {
    for_each_coding({2, 4, 8}, [&](const HostCoding& coding) {
        auto values = oracle::decode(coding.element, normal_tensor(67, coding.element, 400));
        const Coded once = quantize_on_host(coding, oracle::encode(coding.element, values), 4);
        for (float& value : values) {
            value *= 2;
        }
        const Coded twice = quantize_on_host(coding, oracle::encode(coding.element, values), 4);
        CHECK(twice.codes == once.codes);
        for (std::size_t i = 0; i < once.params.size(); ++i) {
            CHECK(twice.params[i] == 2 * once.params[i]);
        }
    });
}

TEST_CASE("each dequantizer rounds the fp32 one's values to its dtype", "[runtime][algebra]") {
    const HostCoding coding{Element::fp32, 4, true};
    const Coded coded = quantize_on_host(coding, normal_tensor(71, Element::fp32, 800), 8);
    HostMemory memory;
    runtime::OpOptions options;
    options.allocate = memory.allocator();
    const auto codes = detail::view(coded.codes);
    const auto params = detail::view(coded.params);
    const auto type = coding.type();
    const Bytes single =
        detail::bytes(runtime::dequantize_fp32(codes, params, 8, 4, type, options));
    const auto values = oracle::decode(Element::fp32, single);
    CHECK(detail::bytes(runtime::dequantize(codes, params, 8, 4, type, options)) ==
          oracle::encode(Element::fp16, values));
    CHECK(detail::bytes(runtime::dequantize_bf16(codes, params, 8, 4, type, options)) ==
          oracle::encode(Element::bf16, values));
    CHECK(detail::bytes(runtime::dequantize(codes, params, 8, 4, type, options,
                                            runtime::Dtype::float32)) == single);
}

TEST_CASE("stochastic codes of a tensor in two halves are those of the whole",
          "[runtime][algebra]") {
    const std::uint64_t offset = (std::uint64_t{1} << 34U) - 6;
    for_each_coding({2, 4, 8}, [&](const HostCoding& coding) {
        for (const std::int64_t half : {4, 12, 132, 1004, 70004}) {
            const Bytes tensor = make_input(values_case(73, coding.element, 2, half));
            const Coded whole =
                quantize_on_host(coding, tensor, 2, runtime::RandomState{9, offset});
            Coded halves;
            for (std::int64_t part = 0; part < 2; ++part) {
                const auto size = static_cast<std::ptrdiff_t>(tensor.size() / 2);
                const Bytes own(tensor.begin() + part * size, tensor.begin() + (part + 1) * size);
                const Coded coded = quantize_on_host(
                    coding, own, 1,
                    runtime::RandomState{9, offset + static_cast<std::uint64_t>(part * half)});
                halves.codes.insert(halves.codes.end(), coded.codes.begin(), coded.codes.end());
                halves.params.insert(halves.params.end(), coded.params.begin(), coded.params.end());
            }
            CHECK(halves.codes == whole.codes);
            CHECK(same_floats(halves.params, whole.params));
        }
    });
}

TEST_CASE("stochastic codes are the grid's points around a value, and unbiased",
          "[runtime][algebra]") {
    constexpr int kDraws = 60;
    constexpr std::int64_t kElements = 4096;
    for_each_coding({2, 4, 8}, [&](const HostCoding& coding) {
        const Bytes tensor = normal_tensor(79, coding.element, kElements);
        const auto values = oracle::decode(coding.element, tensor);
        double excess = 0;
        double variance = 0;
        std::size_t off_grid = 0;
        for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
            const Coded coded = quantize_on_host(coding, tensor, 1, runtime::RandomState{seed, 0});
            const auto codes = oracle::unpack(coded.codes, coding.bits);
            const double offset = coding.asymmetric ? double{coded.params[1]} : 0.0;
            for (std::size_t i = 0; i < values.size(); ++i) {
                const double place = (double{values[i]} - offset) / double{coded.params[0]};
                const double floor = std::floor(place);
                // The topmost step saturates: a value in it can only go down.
                if (place >= (1 << (coding.bits - 1)) - 1) {
                    continue;
                }
                const double up = codes[i] - floor;
                // A place that is whole but for roundings may be taken for the one below.
                off_grid += (up == 0 || up == 1 || (up == 2 && place - floor > 1 - 1e-4)) ? 0U : 1U;
                excess += codes[i] - place;
                variance += (place - floor) * (1 - (place - floor));
            }
        }
        CAPTURE(excess, variance);
        CHECK(off_grid == 0);
        CHECK(std::fabs(excess) < 4 * std::sqrt(variance));
    });
}

TEST_CASE("stochastic quantize without numbers of its own takes them from the generator",
          "[runtime][algebra]") {
    const HostCoding coding{Element::fp32, 4, false};
    const Bytes tensor = normal_tensor(83, coding.element, 1002);
    HostMemory memory;
    runtime::OpOptions options;
    options.allocate = memory.allocator();
    options.stochastic = true;
    runtime::manual_seed(77);
    static_cast<void>(runtime::next_random_state(8));
    const Coded implicit = detail::coded(
        runtime::quantize(detail::view(tensor, coding.element), 1, 4, coding.type(), options));
    CHECK(implicit.codes == quantize_on_host(coding, tensor, 1, runtime::RandomState{77, 8}).codes);
    CHECK(runtime::next_random_state(0).offset == 8 + 1004);
}
