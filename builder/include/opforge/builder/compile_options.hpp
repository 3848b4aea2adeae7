// Typed compile options; their normalised spelling is part of the key.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/target.hpp>

#include <string>
#include <utility>
#include <vector>

namespace opforge::builder {

struct OPFORGE_API CompileOptions {
    int cxx_standard = 17;         // 14, 17 or 20
    bool contract_fma = false;     // --fmad: off, because results must equal the host's bit for bit
    bool flush_denormals = false;  // --ftz
    bool precise_division = true;  // --prec-div
    bool precise_sqrt = true;      // --prec-sqrt
    bool line_info = false;        // --generate-line-info, for profilers
    int max_registers = 0;         // --maxrregcount; 0: the compiler's choice
    /// --minimal, with an NVRTC that has it (12.4): without textures, device-side launches and the
    /// CUDA runtime's types, which a source that uses none compiles 3 ms faster for. It changes no
    /// code, so it is no part of the key.
    bool minimal = false;
    std::vector<std::pair<std::string, std::string>> defines;

    /// Those that change code, sorted, one spelling each: what the key holds. Defines apart.
    [[nodiscard]] std::vector<std::string> normalised() const;
    /// The full NVRTC command line for `target`: normalised options, defines, --gpu-architecture,
    /// --no-source-include and what else keeps a compile hermetic. @throws InvalidArgument for an
    /// unknown standard or a malformed define.
    [[nodiscard]] std::vector<std::string> nvrtc_arguments(const Target& target) const;
};

}  // namespace opforge::builder
