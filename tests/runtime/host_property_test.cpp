// The host backend against the oracle, bit for bit, over the sweep.
#include "sweep.hpp"

#include <opforge/runtime/ds_quantizer.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>
#include <string>

namespace oracle = opforge::test::oracle;
namespace runtime = opforge::runtime;
using opforge::Bytes;
using namespace opforge::test;

namespace {

// Runs the case through the public interface; the result's bytes, after checks of everything around
// them.
std::string run_and_compare(const SweepCase& of) {
    const std::size_t element = oracle::element_bytes(of.element);
    const Bytes data = make_input(of);
    const Bytes expected = oracle::fake_quantize(of.element, data, of.settings);
    GuardedTensor input(data, of.input_skew * element);
    GuardedTensor output(Bytes(data.size(), std::byte{0x3C}), of.output_skew * element);
    runtime::CallOptions options;
    options.threads = of.threads;
    if (of.settings.stochastic) {
        options.random = of.random();
    }
    if (of.into_output) {
        options.output = view_of(of, output.data(), runtime::Device::cpu());
    }
    const runtime::TensorView result = runtime::ds_quantizer(
        view_of(of, input.data(), runtime::Device::cpu()), of.settings.groups, of.settings.bits,
        of.settings.stochastic, of.settings.asymmetric, options);
    if (result.data != (of.into_output ? output.data() : input.data())) {
        return describe(of) + "\n  the returned view is not the result's";
    }
    if (!input.border_is_intact() || !output.border_is_intact()) {
        return describe(of) + "\n  wrote outside the tensor";
    }
    if (of.into_output && !std::equal(data.begin(), data.end(), input.bytes().begin())) {
        return describe(of) + "\n  changed the input of an out-of-place call";
    }
    return mismatch(of, expected, of.into_output ? output.bytes() : input.bytes());
}

// Reports a few failures rather than thousands.
class Failures {
public:
    void add(const std::string& text) {
        if (!text.empty() && ++count_ <= 5) {
            UNSCOPED_INFO(text);
        }
    }
    [[nodiscard]] int count() const { return count_; }

private:
    int count_ = 0;
};

}  // namespace

TEST_CASE("the host equals the oracle bit for bit over a random sweep", "[runtime][property]") {
    constexpr std::uint64_t kCases = 4000;
    const std::uint64_t first = first_seed(20260000, kCases);
    Failures failures;
    for (std::uint64_t seed = first; seed < first + kCases; ++seed) {
        failures.add(run_and_compare(random_case(seed, 4096)));
    }
    CHECK(failures.count() == 0);
}

TEST_CASE("every pattern, dtype and pair of flags equals the oracle at every bit width",
          "[runtime][property]") {
    Failures failures;
    std::uint64_t seed = 77;
    for (int pattern = 0; pattern < kPatterns; ++pattern) {
        for (int element = 0; element < 3; ++element) {
            for (int flags = 0; flags < 4; ++flags) {
                for (int bits = 2; bits <= 16; ++bits) {
                    SweepCase of;
                    of.seed = ++seed;
                    of.element = static_cast<oracle::Element>(element);
                    of.pattern = static_cast<Pattern>(pattern);
                    of.group_size = 67;
                    of.settings.groups = 2;
                    of.settings.bits = bits;
                    of.settings.stochastic = (flags & 1) != 0;
                    of.settings.asymmetric = (flags & 2) != 0;
                    of.settings.seed = seed;
                    failures.add(run_and_compare(of));
                }
            }
        }
    }
    CHECK(failures.count() == 0);
}

TEST_CASE("every group size up to 130 equals the oracle", "[runtime][property]") {
    Failures failures;
    for (std::int64_t size = 1; size <= 130; ++size) {
        for (int element = 0; element < 3; ++element) {
            SweepCase of;
            of.seed = static_cast<std::uint64_t>(1000 + size);
            of.element = static_cast<oracle::Element>(element);
            of.group_size = size;
            of.settings.groups = 3;
            of.settings.bits = 8;
            of.settings.asymmetric = size % 2 != 0;
            of.settings.stochastic = size % 4 > 1;
            failures.add(run_and_compare(of));
        }
    }
    CHECK(failures.count() == 0);
}

TEST_CASE("large tensors give the oracle's bits at every thread count", "[runtime][property]") {
    // Large enough that every thread gets work, by groups and within one group.
    struct Layout {
        std::int64_t groups;
        std::int64_t group_size;
    };
    Failures failures;
    for (const Layout layout : {Layout{1, 300001}, Layout{3, 100003}, Layout{2500, 119}}) {
        for (int element = 0; element < 3; ++element) {
            SweepCase of;
            of.seed = static_cast<std::uint64_t>(layout.groups);
            of.element = static_cast<oracle::Element>(element);
            of.group_size = layout.group_size;
            of.settings.groups = layout.groups;
            of.settings.bits = 6;
            of.settings.stochastic = element != 1;
            of.settings.asymmetric = element != 0;
            of.settings.seed = 5;
            of.settings.offset = 3;
            const Bytes data = make_input(of);
            const Bytes expected = oracle::fake_quantize(of.element, data, of.settings);
            for (int threads = 0; threads <= 4; ++threads) {
                Bytes result = data;
                of.threads = threads;
                runtime::CallOptions options;
                options.threads = threads;
                options.random = of.random();
                runtime::ds_quantizer(view_of(of, result.data(), runtime::Device::cpu()),
                                      of.settings.groups, of.settings.bits, of.settings.stochastic,
                                      of.settings.asymmetric, options);
                failures.add(mismatch(of, expected, result));
            }
        }
    }
    CHECK(failures.count() == 0);
}

TEST_CASE("one bad value anywhere in a large group poisons it and no other",
          "[runtime][property]") {
    for (const std::size_t where : {std::size_t{0}, std::size_t{123456}, std::size_t{199999}}) {
        SweepCase of;
        of.seed = 9;
        of.element = oracle::Element::fp32;
        of.group_size = 200000;
        of.settings.groups = 2;
        Bytes data = make_input(of);
        auto values = oracle::decode(of.element, data);
        values[where] = -HUGE_VALF;
        data = oracle::encode(of.element, values);
        const Bytes expected = oracle::fake_quantize(of.element, data, of.settings);
        runtime::ds_quantizer(view_of(of, data.data(), runtime::Device::cpu()), 2, 8);
        CHECK(mismatch(of, expected, data).empty());
    }
}
