#include "instruction_set.hpp"

namespace opforge::runtime::host {

InstructionSet best_instruction_set() noexcept {
#if OPFORGE_HOST_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return InstructionSet::avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return InstructionSet::avx2;
    }
#endif
    return InstructionSet::baseline;
}

}  // namespace opforge::runtime::host
