// Stochastic rounding: unbiased, uncorrelated with its place, repeatable, and independent of how
// the work is cut. The exact bits are the property tests' matter; seeds are fixed, so these
// statistics pass or fail for good.
#include "sweep.hpp"

#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/random_state.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace oracle = opforge::test::oracle;
namespace runtime = opforge::runtime;
using opforge::Bytes;
using namespace opforge::test;

namespace {

constexpr std::size_t kElements = 4096;
constexpr int kBits = 4;
constexpr double kLevels = 16;

runtime::TensorView view(std::vector<float>& values) {
    return {values.data(), runtime::Dtype::float32,
            runtime::Shape{static_cast<std::int64_t>(values.size())}, runtime::Device::cpu()};
}

std::vector<float> normal_values(std::uint64_t seed) {
    SplitMix random(seed);
    std::vector<float> values(kElements);
    for (float& value : values) {
        value = random.normal();
    }
    return values;
}

// Where a value lies on the grid, and whether it was rounded up; by the contract's formulas, in
// double.
struct Step {
    double fraction = 0;
    bool up = false;
};

struct Draws {
    std::vector<std::pair<std::size_t, Step>> steps;  // element's index, step
    int off_grid = 0;  // results that are not one of the two grid points around the value
};

Draws draw(const std::vector<float>& values, bool asymmetric, runtime::RandomState random) {
    std::vector<float> result = values;
    runtime::CallOptions options;
    options.random = random;
    runtime::ds_quantizer(view(result), 1, kBits, true, asymmetric, options);

    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double magnitude = std::max(std::fabs(double{*low}), std::fabs(double{*high}));
    const double range = asymmetric ? double{*high} - double{*low} : 2 * magnitude;
    const double step = (range + 1e-5) / kLevels;
    const double zero = asymmetric ? double{*low} : 0.0;
    // The topmost step saturates: a value in it can only go down.
    const double top = asymmetric ? kLevels - 1 : kLevels / 2 - 1;

    Draws draws;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double place = (double{values[i]} - zero) / step;
        const double floor = std::floor(place);
        if (place >= top) {
            continue;
        }
        const double up = (double{result[i]} - zero) / step - floor;
        if (std::fabs(up) > 1e-3 && std::fabs(up - 1) > 1e-3) {
            ++draws.off_grid;
        }
        draws.steps.push_back({i, {place - floor, up > 0.5}});
    }
    return draws;
}

}  // namespace

TEST_CASE("stochastic rounding is unbiased and its up-steps pass a chi-square",
          "[runtime][stochastic]") {
    constexpr int kDraws = 100;
    constexpr std::size_t kBins = 16;  // of the fraction
    constexpr std::size_t kLanes = 4;  // words of one Philox block
    for (const bool asymmetric : {false, true}) {
        double excess = 0;
        double variance = 0;
        int off_grid = 0;
        std::array<std::array<double, kBins>, kLanes> bin_excess{};
        std::array<std::array<double, kBins>, kLanes> bin_variance{};
        for (int number = 0; number < kDraws; ++number) {
            const auto seed = static_cast<std::uint64_t>(number);
            const Draws draws = draw(normal_values(seed), asymmetric, {1000 + seed, 0});
            off_grid += draws.off_grid;
            for (const auto& [index, step] : draws.steps) {
                const double difference = (step.up ? 1.0 : 0.0) - step.fraction;
                const double spread = step.fraction * (1 - step.fraction);
                excess += difference;
                variance += spread;
                const auto bin =
                    std::min(kBins - 1, static_cast<std::size_t>(step.fraction * kBins));
                bin_excess[index % kLanes][bin] += difference;
                bin_variance[index % kLanes][bin] += spread;
            }
        }
        double chi_square = 0;
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            for (std::size_t bin = 0; bin < kBins; ++bin) {
                chi_square +=
                    bin_excess[lane][bin] * bin_excess[lane][bin] / bin_variance[lane][bin];
            }
        }
        CAPTURE(asymmetric, excess, variance, chi_square);
        CHECK(off_grid == 0);
        CHECK(std::fabs(excess) < 4 * std::sqrt(variance));
        // 64 degrees of freedom: 99.99 % lie below 111.3, and 99.99 % above 29.9.
        CHECK(chi_square < 111.3);
        CHECK(chi_square > 29.9);
    }
}

TEST_CASE("the mean over many seeds comes back to each value", "[runtime][stochastic]") {
    constexpr int kDraws = 400;
    const std::vector<float> values = normal_values(3);
    for (const bool asymmetric : {false, true}) {
        std::vector<int> ups(kElements, 0);
        std::vector<double> fractions(kElements, -1);
        for (int number = 0; number < kDraws; ++number) {
            for (const auto& [index, step] :
                 draw(values, asymmetric, {static_cast<std::uint64_t>(number), 17}).steps) {
                ups[index] += step.up ? 1 : 0;
                fractions[index] = step.fraction;
            }
        }
        double squares = 0;
        std::size_t counted = 0;
        std::size_t far_off = 0;
        for (std::size_t i = 0; i < kElements; ++i) {
            if (fractions[i] < 0.01 || fractions[i] > 0.99) {
                continue;  // too few up-steps, or too many, for a normal approximation; or the top
                           // step
            }
            const double mean = kDraws * fractions[i];
            const double deviation = (ups[i] - mean) / std::sqrt(mean * (1 - fractions[i]));
            squares += deviation * deviation;
            far_off += std::fabs(deviation) > 6 ? 1U : 0U;
            ++counted;
        }
        // A mean of `counted` squares of standard normal numbers: 1, with variance 2 / counted.
        const double mean_square = squares / static_cast<double>(counted);
        CAPTURE(asymmetric, counted, mean_square);
        CHECK(counted > 3000);
        CHECK(far_off == 0);
        CHECK(std::fabs(mean_square - 1) < 5 * std::sqrt(2.0 / static_cast<double>(counted)));
    }
}

TEST_CASE("neighbouring elements and consecutive calls draw independent numbers",
          "[runtime][stochastic]") {
    // Constant fractions of one half, but for the two ends of the range: the up-steps are coin
    // tosses.
    std::vector<float> values(1U << 16U, 0.25F);
    values[0] = -4.0F;
    values[1] = 4.0F;
    const auto coins = [&](std::uint64_t offset) {
        std::vector<float> result = values;
        runtime::CallOptions options;
        options.random = runtime::RandomState{42, offset};
        runtime::ds_quantizer(view(result), 1, kBits, true, false, options);
        std::vector<int> signs;
        for (std::size_t i = 2; i < result.size(); ++i) {
            signs.push_back(result[i] > 0.25F ? 1 : -1);
        }
        return signs;
    };
    const std::vector<int> first = coins(0);
    const std::vector<int> second = coins(values.size());
    const auto count = static_cast<double>(first.size());
    for (const std::size_t lag : {1U, 2U, 3U, 4U, 8U, 32U, 256U, 1024U, 4096U}) {
        double sum = 0;
        for (std::size_t i = 0; i + lag < first.size(); ++i) {
            sum += first[i] * first[i + lag];
        }
        CAPTURE(lag, sum);
        CHECK(std::fabs(sum) < 4 * std::sqrt(count));
    }
    double between = 0;
    for (std::size_t i = 0; i < first.size(); ++i) {
        between += first[i] * second[i];
    }
    CHECK(std::fabs(between) < 4 * std::sqrt(count));
}

TEST_CASE("values on the grid keep their codes", "[runtime][stochastic]") {
    // A range so large that the contract's 1e-5 vanishes beside it: steps of 128.
    std::vector<float> values;
    for (int code = -8; code <= 7; ++code) {
        values.push_back(static_cast<float>(code) * 128.0F);
    }
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        std::vector<float> result = values;
        runtime::CallOptions options;
        options.random = runtime::RandomState{seed, 0};
        runtime::ds_quantizer(view(result), 1, kBits, true, false, options);
        CHECK(result == values);
    }
}

TEST_CASE("a tensor in two halves gives the bits of the whole", "[runtime][stochastic]") {
    for (const std::int64_t half : {1, 2, 3, 4, 5, 127, 128, 1001, 4096, 70001}) {
        for (int element = 0; element < 3; ++element) {
            for (const bool asymmetric : {false, true}) {
                SweepCase of;
                of.seed = static_cast<std::uint64_t>(half);
                of.element = static_cast<oracle::Element>(element);
                of.group_size = half;
                of.settings.groups = 2;
                Bytes whole = make_input(of);
                Bytes halves = whole;
                const std::uint64_t offset = (std::uint64_t{1} << 34U) - 6;
                runtime::CallOptions options;
                options.random = runtime::RandomState{99, offset};
                runtime::ds_quantizer(view_of(of, whole.data(), runtime::Device::cpu()), 2, 5, true,
                                      asymmetric, options);
                for (std::int64_t part = 0; part < 2; ++part) {
                    SweepCase one = of;
                    one.settings.groups = 1;
                    options.random =
                        runtime::RandomState{99, offset + static_cast<std::uint64_t>(part * half)};
                    runtime::ds_quantizer(
                        view_of(one,
                                halves.data() + static_cast<std::size_t>(part) * one.size_bytes(),
                                runtime::Device::cpu()),
                        1, 5, true, asymmetric, options);
                }
                CHECK(mismatch(of, whole, halves).empty());
            }
        }
    }
}

TEST_CASE("manual_seed makes calls repeat, and consecutive calls differ", "[runtime][stochastic]") {
    const std::vector<float> values = normal_values(11);
    const auto call = [&] {
        std::vector<float> result = values;
        runtime::ds_quantizer(view(result), 1, kBits, true);
        return result;
    };
    runtime::manual_seed(123);
    const auto first = call();
    const auto second = call();
    runtime::manual_seed(123);
    CHECK(call() == first);
    CHECK(call() == second);
    CHECK(first != second);
    runtime::manual_seed(124);
    CHECK(call() != first);
}

TEST_CASE("a call takes as many numbers as it has elements, rounded up to four",
          "[runtime][stochastic]") {
    runtime::manual_seed(7);
    std::uint64_t expected = 0;
    for (const std::uint64_t elements : {1U, 4U, 5U, 8U, 1000U, 0U, 3U}) {
        const runtime::RandomState state = runtime::next_random_state(elements);
        CHECK(state.seed == 7);
        CHECK(state.offset == expected);
        expected += (elements + 3) / 4 * 4;
    }
    // The dispatcher takes from the same generator, and only for stochastic rounding without
    // numbers of its own.
    std::vector<float> values(10, 1.0F);
    runtime::CallOptions own;
    own.random = runtime::RandomState{1, 2};
    runtime::ds_quantizer(view(values), 1, 8, true, false, own);
    runtime::ds_quantizer(view(values), 1, 8, false);
    CHECK(runtime::next_random_state(0).offset == expected);
    runtime::ds_quantizer(view(values), 1, 8, true);
    CHECK(runtime::next_random_state(0).offset == expected + 12);
}

TEST_CASE("a call without numbers of its own gives what its place in the generator gives",
          "[runtime][stochastic]") {
    const std::vector<float> values = normal_values(12);
    runtime::manual_seed(55);
    static_cast<void>(runtime::next_random_state(6));
    std::vector<float> implicit = values;
    runtime::ds_quantizer(view(implicit), 1, kBits, true);
    std::vector<float> explicit_state = values;
    runtime::CallOptions options;
    options.random = runtime::RandomState{55, 8};
    runtime::ds_quantizer(view(explicit_state), 1, kBits, true, false, options);
    CHECK(implicit == explicit_state);
}

TEST_CASE("threads that share the generator never share a number", "[runtime][stochastic]") {
    constexpr std::size_t kThreads = 4;
    constexpr std::size_t kCalls = 2000;
    runtime::manual_seed(0);
    std::array<std::vector<std::uint64_t>, kThreads> offsets;
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            for (std::size_t i = 0; i < kCalls; ++i) {
                offsets[t].push_back(runtime::next_random_state(10).offset);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    std::set<std::uint64_t> all;
    for (const auto& own : offsets) {
        all.insert(own.begin(), own.end());
    }
    CHECK(all.size() == kThreads * kCalls);
    CHECK(*all.begin() == 0);
    CHECK(*all.rbegin() == 12 * (kThreads * kCalls - 1));
}
