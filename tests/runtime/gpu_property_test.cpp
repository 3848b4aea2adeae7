// The GPU against the host, bit for bit: the host's sweep, and the shapes that decide between
// kernels.
#include "device.hpp"
#include "free_memory.hpp"
#include "gpu_batches.hpp"
#include "sweep.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/driver/device_buffer.hpp>
#include <opforge/driver/errors.hpp>
#include <opforge/runtime/ds_quantizer.hpp>
#include <opforge/runtime/launch_plan.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

namespace driver = opforge::driver;
namespace oracle = opforge::test::oracle;
namespace runtime = opforge::runtime;
using opforge::Bytes;
using namespace opforge::test;

namespace {

constexpr int kVariants = 12;  // dtype, rounding, range

SweepCase variant_case(int variant, std::int64_t groups, std::int64_t group_size) {
    SweepCase of;
    of.seed = static_cast<std::uint64_t>(groups * 131 + group_size * 12 + variant);
    of.element = static_cast<oracle::Element>(variant % 3);
    of.group_size = group_size;
    of.settings.groups = groups;
    of.settings.bits = 2 + static_cast<int>(of.seed % 15);
    of.settings.stochastic = variant / 3 % 2 != 0;
    of.settings.asymmetric = variant / 6 != 0;
    of.settings.seed = of.seed * 0x9E3779B97F4A7C15U;
    of.settings.offset = of.seed * 20;
    return of;
}

// The same with random numbers that only the kernels for any tensor draw.
SweepCase odd_offset(SweepCase of) {
    of.settings.offset = of.seed * 5 + 1;
    return of;
}

// Few cases that reach every program and every kernel: a sanitizer runs them a hundred times
// slower.
std::vector<SweepCase> sanitizer_cases() {
    struct Layout {
        std::int64_t groups;
        std::int64_t group_size;
    };
    std::vector<SweepCase> cases;
    for (int variant = 0; variant < kVariants; ++variant) {
        std::size_t number = 0;
        for (const Layout layout :
             {Layout{1, 1}, Layout{67, 1}, Layout{5, 7}, Layout{3, 31}, Layout{9, 64},
              Layout{2, 129}, Layout{3, 513}, Layout{2, 1000}, Layout{2, 1025}, Layout{3, 4096},
              Layout{1, 5003}, Layout{2, 16384}, Layout{1, 40000}, Layout{2, 33001},
              Layout{1, 65536}, Layout{1, 70001}}) {
            SweepCase of = variant_case(variant, layout.groups, layout.group_size);
            // Some of the sizes that could be aligned are.
            of.input_skew = layout.group_size % 8 == 0 && number % 2 == 0 ? 0 : number % 3;
            of.into_output = number % 2 != 0;
            of.output_skew = number % 4 == 3 ? of.input_skew + 1 : of.input_skew;
            ++number;
            cases.push_back(number % 5 == 4 ? odd_offset(of) : of);
        }
        for (const Layout layout : {Layout{9, 64}, Layout{3, 4096}, Layout{2, 65536},
                                    Layout{2, 32768}, Layout{17, 65600}, Layout{1, 3 << 18}}) {
            cases.push_back(variant_case(variant, layout.groups, layout.group_size));
        }
        if (!cases.back().settings.stochastic) {
            cases.push_back(variant_case(variant, 5000, 240));  // two chunks a lane fill the chip
        }
        SweepCase poisoned = variant_case(variant, 3, 300);
        poisoned.pattern = Pattern::nan;
        cases.push_back(poisoned);
    }
    return cases;
}

// 2^31 + 8 elements: every index, count and offset that is 32 bits wide somewhere shows.
void check_huge(const driver::DriverApi& api, SweepCase of) {
    const std::size_t size_bytes = of.size_bytes();
    constexpr std::size_t kChunk = std::size_t{256} << 20U;
    if (!has_free_memory(size_bytes + 2 * kChunk)) {
        return;
    }
    const auto buffer = device_memory(api, size_bytes);
    if (!buffer.has_value()) {
        return;
    }
    // Random bits with the exponent's top bit cleared: finite, below 2, of all magnitudes.
    const std::uint64_t mask =
        of.element == oracle::Element::fp32 ? 0xBFFFFFFFBFFFFFFFU : 0xBFFFBFFFBFFFBFFFU;
    SplitMix random(of.seed);
    Bytes data(size_bytes);
    for (std::size_t i = 0; i < size_bytes; i += sizeof(std::uint64_t)) {  // a multiple of eight
        const std::uint64_t word = random.next() & mask;
        std::memcpy(data.data() + i, &word, sizeof word);
    }
    for (std::size_t begin = 0; begin < size_bytes; begin += kChunk) {
        buffer->upload(std::span(data).subspan(begin, std::min(kChunk, size_bytes - begin)), begin);
    }
    runtime::CallOptions options;
    options.random = of.random();
    const oracle::Settings& settings = of.settings;
    runtime::ds_quantizer(view_of(of, buffer->data(), runtime::Device::cuda(0)), settings.groups,
                          settings.bits, settings.stochastic, settings.asymmetric, options);
    runtime::ds_quantizer(view_of(of, data.data(), runtime::Device::cpu()), settings.groups,
                          settings.bits, settings.stochastic, settings.asymmetric, options);
    Bytes actual(kChunk);
    for (std::size_t begin = 0; begin < size_bytes; begin += kChunk) {
        const std::size_t count = std::min(kChunk, size_bytes - begin);
        buffer->download(std::span(actual).first(count), begin);
        INFO("chunk at byte " << begin);
        REQUIRE(mismatch(of, std::span(data).subspan(begin, count), std::span(actual).first(count))
                    .empty());
    }
}

SweepCase huge_case(oracle::Element element, std::int64_t groups, std::int64_t group_size) {
    SweepCase of;
    of.element = element;
    of.group_size = group_size;
    of.settings.groups = groups;
    of.settings.bits = 7;
    of.settings.seed = 31;
    of.settings.offset = (std::uint64_t{1} << 34U) - 1000;
    return of;
}

}  // namespace

TEST_CASE("the GPU equals the host bit for bit over a random sweep", "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    constexpr std::uint64_t kCases = 6000;
    const std::uint64_t first = first_seed(60260000, kCases);
    GpuBatches batches(gpu->api);
    for (std::uint64_t seed = first; seed < first + kCases; ++seed) {
        batches.add(random_case(seed, 4096));
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host over a random sweep of large groups",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    GpuBatches batches(gpu->api);
    for (std::uint64_t seed = 80260000; seed < 80260000 + 400; ++seed) {
        SweepCase of = random_case(seed, 4096);
        SplitMix random(seed);
        of.group_size = random.between(4000, 150000);
        of.group_size = random.chance(50) ? of.group_size / 8 * 8 : of.group_size;
        of.settings.groups = random.between(1, 3);
        batches.add(of);
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for group sizes around every power of two",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    GpuBatches batches(gpu->api);
    for (int exponent = 0; exponent <= 20; ++exponent) {
        for (const std::int64_t around : {-1, 0, 1}) {
            const std::int64_t size = (std::int64_t{1} << exponent) + around;
            // At a million elements, not every variant at every size: each dtype and each pair of
            // flags still occurs.
            const int step = exponent > 16 ? 5 : 1;
            for (int variant = (exponent + static_cast<int>(around) + 1) % step;
                 size > 0 && variant < kVariants; variant += step) {
                SweepCase of = variant_case(variant, exponent > 14 ? 1 : 3, size);
                of.input_skew = static_cast<std::size_t>(variant % 2);
                batches.add(of);
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for every pair of misalignments", "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    GpuBatches batches(gpu->api);
    for (const std::int64_t size : {1, 2, 3, 8, 17, 100, 1023, 1025, 4099, 40001}) {
        for (std::size_t input_skew = 0; input_skew < 9; ++input_skew) {
            for (std::size_t output_skew = 0; output_skew < 9; ++output_skew) {
                const int variant = static_cast<int>(input_skew * 9 + output_skew) % kVariants;
                SweepCase of = variant_case(variant, 2, size);
                of.input_skew = input_skew;
                of.output_skew = output_skew;
                of.into_output = true;
                batches.add(of);
                of.into_output = false;
                batches.add(of);
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for many tiny groups", "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    GpuBatches batches(gpu->api);
    for (int variant = 0; variant < kVariants; ++variant) {
        batches.add(variant_case(variant, 500000, 1));
        batches.add(variant_case(variant, 200001, 3));
        batches.add(variant_case(variant, 70000, 33));
    }
    CHECK(batches.failures() == 0);
}

// Smaller tensors are shared by more threads, each with less to do.
TEST_CASE("the GPU equals the host for tensors that fill the chip", "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    constexpr std::int64_t kValues = std::int64_t{6} << 20U;
    GpuBatches batches(gpu->api);
    for (int variant = 0; variant < kVariants; ++variant) {
        for (const std::int64_t size : {16, 64, 128, 512, 1024, 4096, 16384, 65536, 131072}) {
            batches.add(variant_case(variant, kValues / size, size));
        }
        batches.add(odd_offset(variant_case(variant, kValues / 512, 512)));
        batches.add(odd_offset(variant_case(variant, kValues / 65536, 65536)));
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host where clusters and teams go on to further groups",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    constexpr std::int64_t kValues = std::int64_t{24} << 20U;
    GpuBatches batches(gpu->api);
    int number = 0;
    for (const std::int64_t size : {32768, 65536, 131072, 262144, 1048576, 2097152}) {
        for (int variant = number % 4; variant < kVariants; variant += 4) {
            // One short of a whole number of rows, too.
            batches.add(variant_case(variant, kValues / size, size - (number % 2) * 8));
        }
        ++number;
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the GPU equals the host for one group of 16 Mi", "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    for (int element = 0; element < 3; ++element) {
        GpuBatches batches(gpu->api);
        batches.add(variant_case(element, 1, std::int64_t{16} << 20U));
        batches.add(variant_case(9 + element, 1, (std::int64_t{16} << 20U) - 1));
        CHECK(batches.failures() == 0);
    }
}

TEST_CASE("a poisoned group of any size comes out all NaN on the GPU, its neighbours whole",
          "[runtime][property][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    GpuBatches batches(gpu->api);
    for (const std::int64_t size : {1, 5, 32, 700, 1025, 9001, 40000, 300000}) {
        for (int variant = 0; variant < kVariants; ++variant) {
            for (const Pattern pattern : {Pattern::nan, Pattern::infinity, Pattern::huge}) {
                SweepCase of = variant_case(variant, 3, size);
                of.pattern = pattern;
                batches.add(of);
            }
        }
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("the sanitizer's cases reach every kernel and are at most 300", "[runtime]") {
    const std::vector<SweepCase> cases = sanitizer_cases();
    CHECK(cases.size() <= 300);
    // Small and large chips, whose plans differ.
    for (const int multiprocessors : {20, 132}) {
        std::array<std::array<int, 8>, kVariants> reached{};
        for (const SweepCase& of : cases) {
            const auto element_bytes = static_cast<int>(oracle::element_bytes(of.element));
            const bool aligned = of.input_skew == 0 && (!of.into_output || of.output_skew == 0) &&
                                 of.group_size * element_bytes % 16 == 0;
            const bool stochastic = of.settings.stochastic;
            const auto elements = static_cast<std::int64_t>(of.elements());
            const auto plan = runtime::plan_fake_quantize(
                {of.settings.groups, of.group_size, element_bytes,
                 aligned && (!stochastic || draws_whole_counters(of.random(), elements)),
                 stochastic},
                {.multiprocessors = multiprocessors,
                 .max_threads_per_block = 1024,
                 .shared_bytes_per_block = 232448,
                 .shared_bytes_per_multiprocessor = 233472,
                 .max_threads_per_multiprocessor = 2048,
                 .cooperative_launch = true,
                 .cluster_launch = true});
            const int variant = static_cast<int>(of.element) + (of.settings.stochastic ? 3 : 0) +
                                (of.settings.asymmetric ? 6 : 0);
            ++reached[static_cast<std::size_t>(variant)][static_cast<std::size_t>(plan.kernel)];
        }
        for (int variant = 0; variant < kVariants; ++variant) {
            const auto& kernels = reached[static_cast<std::size_t>(variant)];
            const bool stochastic = variant / 3 % 2 != 0;
            CHECK(std::count(kernels.begin(), kernels.end(), 0) == (stochastic ? 1 : 0));
            CHECK((kernels[static_cast<std::size_t>(runtime::FakeQuantizeKernel::pairs)] == 0) ==
                  stochastic);
        }
    }
}

TEST_CASE("a small subset for compute-sanitizer", "[.sanitizer][gpu]") {
    const auto gpu = first_gpu();
    if (!gpu.has_value()) {
        return;
    }
    GpuBatches batches(gpu->api);
    for (const SweepCase& of : sanitizer_cases()) {
        batches.add(of);
    }
    CHECK(batches.failures() == 0);
}

TEST_CASE("one group of 2^31 + 8 fp16 elements", "[.huge][gpu]") {
    if (const auto gpu = first_gpu(); gpu.has_value()) {
        SweepCase of = huge_case(oracle::Element::fp16, 1, (std::int64_t{1} << 31U) + 8);
        of.settings.stochastic = true;
        of.settings.asymmetric = true;
        check_huge(gpu->api, of);
    }
}

TEST_CASE("eight groups, 2^31 + 8 bf16 elements together", "[.huge][gpu]") {
    if (const auto gpu = first_gpu(); gpu.has_value()) {
        SweepCase of = huge_case(oracle::Element::bf16, 8, (std::int64_t{1} << 28U) + 1);
        of.settings.stochastic = true;
        check_huge(gpu->api, of);
    }
}

TEST_CASE("groups of eight, 2^31 + 8 fp32 elements together", "[.huge][gpu]") {
    if (const auto gpu = first_gpu(); gpu.has_value()) {
        SweepCase of = huge_case(oracle::Element::fp32, (std::int64_t{1} << 28U) + 1, 8);
        of.settings.asymmetric = true;
        check_huge(gpu->api, of);
    }
}
