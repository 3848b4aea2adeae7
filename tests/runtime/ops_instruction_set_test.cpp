// Every copy of the inner loops of the ops with codes that this machine can run, not only the one
// it would choose.
#include "ops_sweep.hpp"

#include "host/instruction_set.hpp"
#include "host/quantize_kernels.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace runtime = opforge::runtime;
namespace host = opforge::runtime::host;
using namespace opforge::test;

namespace {

std::vector<const host::QuantizeKernels*> runnable() {
    std::vector<const host::QuantizeKernels*> sets = {&host::kQuantizeBaseline};
#if OPFORGE_HOST_X86
    if (host::best_instruction_set() >= host::InstructionSet::avx2) {
        sets.push_back(&host::kQuantizeAvx2);
    }
    if (host::best_instruction_set() >= host::InstructionSet::avx512) {
        sets.push_back(&host::kQuantizeAvx512);
    }
#endif
    return sets;
}

runtime::QuantizeTask quantize_task(const OpsCase& of, const ByRole<void*>& memory) {
    runtime::QuantizeTask task;
    task.dtype = dtype_of(of.element);
    task.error = of.has_error() ? memory[Role::error] : nullptr;
    task.err_beta = of.beta;
    task.codes = static_cast<std::uint8_t*>(memory[Role::output]);
    task.params = static_cast<float*>(memory[Role::params]);
    task.groups = of.reduces() ? of.out_groups : of.groups;
    task.group_size = of.out_elements() / task.groups;
    task.bits = of.bits;
    task.asymmetric = of.asymmetric;
    task.stochastic = of.stochastic;
    task.random = of.random;
    if (of.reduces()) {
        task.reduction = {.codes = static_cast<const std::uint8_t*>(memory[Role::input]),
                          .params = static_cast<const float*>(memory[Role::records]),
                          .devices = of.devices,
                          .elements = of.out_elements(),
                          .groups = of.groups / of.devices,
                          .group_size = of.group_size};
    } else {
        task.input = memory[Role::input];
    }
    if (of.swizzles()) {
        task.swizzle = {.pipeline_size = of.pipeline,
                        .nodes = of.nodes,
                        .devices_per_node = of.devices,
                        .contiguous = of.groups / (of.pipeline * of.nodes * of.devices)};
    }
    return task;
}

void run_with(const host::QuantizeKernels& kernels, const OpsCase& of,
              const ByRole<void*>& memory) {
    if (of.op == Op::dequantize) {
        host::dequantize(kernels,
                         {.codes = static_cast<const std::uint8_t*>(memory[Role::input]),
                          .params = static_cast<const float*>(memory[Role::records]),
                          .output = memory[Role::output],
                          .dtype = dtype_of(of.element),
                          .groups = of.groups,
                          .group_size = of.group_size,
                          .bits = of.bits,
                          .asymmetric = of.asymmetric},
                         of.threads);
    } else if (of.decodes()) {
        host::dequantize_experimental(
            kernels,
            {.codes = static_cast<const std::uint8_t*>(memory[Role::input]),
             .scale = static_cast<const std::uint16_t*>(memory[Role::records]),
             .min = static_cast<const std::uint16_t*>(memory[Role::min]),
             .output = static_cast<std::uint16_t*>(memory[Role::output]),
             .groups = of.groups,
             .group_size = of.group_size,
             .bits = of.bits},
            of.threads);
    } else {
        host::quantize(kernels, quantize_task(of, memory), of.threads);
    }
}

}  // namespace

TEST_CASE("every instruction set gives the oracle's bits in the ops with codes",
          "[runtime][property]") {
    constexpr std::uint64_t kFirstSeed = 51260000;
    constexpr std::uint64_t kCases = 4000;
    std::string first;
    int failures = 0;
    const auto check = [&](const OpsCase& of) {
        const OpsTensors before = make_tensors(of);
        const OpsTensors expected = expected_tensors(of, before);
        for (const host::QuantizeKernels* kernels : runnable()) {
            const GuardedTensors tensors(of, before);
            run_with(*kernels, of, tensors.memory());
            const std::string text = tensors.mismatch(expected);
            if (!text.empty() && failures++ == 0) {
                first = std::string(kernels->instruction_set) + ": " + text;
            }
        }
    };
    for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kCases; ++seed) {
        check(random_ops_case(seed, 1500));
    }
    // Groups beyond what is kept between measuring and encoding, and beyond what one thread takes.
    for (int op = 0; op < kOps; ++op) {
        for (std::uint64_t number = 0; number < 3; ++number) {
            for (const std::int64_t size : {8200, 70004}) {
                OpsCase of = ops_case(static_cast<Op>(op), number * 13 + 1, size);
                of.groups = of.reduces() || of.swizzles() ? of.groups : 1;
                of.threads = 2;
                check(of);
            }
        }
    }
    INFO(first);
    CHECK(failures == 0);
}
