#include "instruction_set.hpp"

#include <atomic>

#if OPFORGE_HOST_X86
#include <cpuid.h>
#endif

namespace opforge::runtime::host {

namespace {

#if OPFORGE_HOST_X86
// What comes with every AVX2 and that the loops are compiled with too.
bool has_companions_of_avx2() noexcept {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __get_cpuid(1, &a, &b, &c, &d) != 0 &&
           (c & static_cast<unsigned>(bit_F16C)) != 0;
}
#endif

InstructionSet ask_processor() noexcept {
#if OPFORGE_HOST_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !has_companions_of_avx2()) {
        return InstructionSet::baseline;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return InstructionSet::avx512;
    }
    return InstructionSet::avx2;
#else
    return InstructionSet::baseline;
#endif
}

}  // namespace

// Asked once: CPUID costs a virtual machine microseconds. No function's static: a child forked
// while its guard is held would wait for ever.
InstructionSet best_instruction_set() noexcept {
    constexpr int kNotAsked = -1;
    static constinit std::atomic<int> known{kNotAsked};
    int set = known.load(std::memory_order_relaxed);
    if (set == kNotAsked) {
        set = static_cast<int>(ask_processor());
        known.store(set, std::memory_order_relaxed);
    }
    return static_cast<InstructionSet>(set);
}

}  // namespace opforge::runtime::host
