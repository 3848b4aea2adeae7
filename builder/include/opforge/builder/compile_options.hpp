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
    /// --minimal: without textures, device-side launches and the CUDA runtime's types. A source
    /// that uses none compiles 3 ms faster for it. An NVRTC before 12.4, which does not know the
    /// option, is not given it; the key holds it all the same, since it says what was asked for.
    bool minimal = false;
    std::vector<std::pair<std::string, std::string>> defines;

    /// Those that change code, sorted, one spelling each: what the key holds. Defines apart.
    [[nodiscard]] std::vector<std::string> normalised() const;
    /// The NVRTC command line for `target` that every version takes: normalised options without
    /// --minimal, defines, --gpu-architecture, --no-source-include and what else keeps a compile
    /// hermetic. @throws InvalidArgument for an
    /// unknown standard or a malformed define.
    [[nodiscard]] std::vector<std::string> nvrtc_arguments(const Target& target) const;
};

}  // namespace opforge::builder
