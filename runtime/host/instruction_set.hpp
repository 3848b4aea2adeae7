// Which copy of the host backend's inner loops this machine can run.
#pragma once

#include <cstdint>

namespace opforge::runtime::host {

enum class InstructionSet : std::uint8_t {
    baseline,
    avx2,   // AVX2 and FMA
    avx512  // AVX-512 F, BW, DQ, VL
};

/// The best one. Always baseline where only that is built.
[[nodiscard]] InstructionSet best_instruction_set() noexcept;

}  // namespace opforge::runtime::host
