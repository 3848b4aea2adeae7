// Every copy of the host's inner loops that this machine can run, not only the one it would choose.
#include "sweep.hpp"

#include "host/fake_quantize_kernels.hpp"
#include "host/instruction_set.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace oracle = opforge::test::oracle;
namespace runtime = opforge::runtime;
namespace host = opforge::runtime::host;
using opforge::Bytes;
using namespace opforge::test;

namespace {

std::vector<const host::FakeQuantizeKernels*> runnable() {
    std::vector<const host::FakeQuantizeKernels*> sets = {&host::kFakeQuantizeBaseline};
#if OPFORGE_HOST_X86
    if (host::best_instruction_set() >= host::InstructionSet::avx2) {
        sets.push_back(&host::kFakeQuantizeAvx2);
    }
    if (host::best_instruction_set() >= host::InstructionSet::avx512) {
        sets.push_back(&host::kFakeQuantizeAvx512);
    }
#endif
    return sets;
}

runtime::FakeQuantizeTask task_of(const SweepCase& of, const void* input, void* output) {
    runtime::FakeQuantizeTask task;
    task.input = input;
    task.output = output;
    task.dtype = dtype_of(of.element);
    task.groups = of.settings.groups;
    task.group_size = of.group_size;
    task.bits = of.settings.bits;
    task.stochastic = of.settings.stochastic;
    task.asymmetric = of.settings.asymmetric;
    task.random = of.random();
    return task;
}

}  // namespace

TEST_CASE("every instruction set gives the oracle's bits", "[runtime][property]") {
    constexpr std::uint64_t kFirstSeed = 40260000;
    constexpr std::uint64_t kCases = 1500;
    std::string first;
    int failures = 0;
    for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kCases; ++seed) {
        const SweepCase of = random_case(seed, 3000);
        const std::size_t skew = of.input_skew * oracle::element_bytes(of.element);
        const Bytes data = make_input(of);
        const Bytes expected = oracle::fake_quantize(of.element, data, of.settings);
        for (const host::FakeQuantizeKernels* set : runnable()) {
            GuardedTensor whole(data, skew);
            set->groups(task_of(of, whole.data(), whole.data()), 0, of.settings.groups);
            // The way of a large group: measured at once, applied in two parts.
            GuardedTensor parts(data, skew);
            const auto task = task_of(of, parts.data(), parts.data());
            const std::int64_t n = of.group_size;
            for (std::int64_t group = 0; group < of.settings.groups; ++group) {
                const host::RangeKeys range = set->measure(task, group * n, n);
                set->apply(task, range, group * n, n / 2);
                set->apply(task, range, group * n + n / 2, n - n / 2);
            }
            for (const GuardedTensor* result : {&whole, &parts}) {
                const std::string text = mismatch(of, expected, result->bytes());
                if (!text.empty() || !result->border_is_intact()) {
                    first =
                        failures++ == 0 ? std::string(set->instruction_set) + ": " + text : first;
                }
            }
        }
    }
    INFO(first);
    CHECK(failures == 0);
}

TEST_CASE("large groups and large tensors come out as from the plain loops", "[runtime]") {
    // Groups beyond a core's cache are gone over backwards, in slices; results of 16 MiB and more
    // go past the caches, where they lie at vectors' boundaries.
    constexpr std::int64_t kElements = (std::int64_t{9} << 20U) + 5;
    std::vector<std::uint16_t> input(static_cast<std::size_t>(kElements));
    std::uint32_t state = 1;
    for (std::uint16_t& value : input) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<std::uint16_t>(state >> 16U) & 0xbbffU;  // finite, up to 1
    }
    std::vector<std::uint16_t> expected(input.size() + 1);
    std::vector<std::uint16_t> output(input.size() + 1);
    struct Case {
        std::int64_t group_size;
        std::size_t skew;  // of the output, in elements
        bool stochastic;
        bool asymmetric;
    };
    for (const Case& c : {Case{1000, 0, false, false}, Case{1000, 1, true, true},
                          Case{200000, 0, false, true}, Case{200001, 1, true, false}}) {
        runtime::FakeQuantizeTask task;
        task.input = input.data();
        task.dtype = runtime::Dtype::float16;
        task.groups = kElements / c.group_size;
        task.group_size = c.group_size;
        task.stochastic = c.stochastic;
        task.asymmetric = c.asymmetric;
        task.random = {3, 7};
        task.output = expected.data() + c.skew;
        host::kFakeQuantizeBaseline.groups(task, 0, task.groups);
        task.output = output.data() + c.skew;
        for (const host::FakeQuantizeKernels* set : runnable()) {
            CAPTURE(set->instruction_set, c.group_size);
            set->groups(task, 0, task.groups);
            CHECK(output == expected);
        }
    }
}
