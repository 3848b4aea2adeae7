// NVRTC's calls, filled in by dlopen.
#pragma once

#include <opforge/builder/nvrtc_discovery.hpp>

#include <nvrtc.h>

#include <string>
#include <vector>

namespace opforge::builder {

/// One opened libnvrtc. Never closed: its worker threads and exit handlers outlive any caller.
struct NvrtcApi {
    int major = 0;
    int minor = 0;
    std::vector<int> architectures;  // that it compiles for: 75, 80, ..., 121

    decltype(&nvrtcGetErrorString) get_error_string = nullptr;
    decltype(&nvrtcVersion) version = nullptr;
    decltype(&nvrtcGetNumSupportedArchs) get_num_supported_archs = nullptr;
    decltype(&nvrtcGetSupportedArchs) get_supported_archs = nullptr;
    decltype(&nvrtcCreateProgram) create_program = nullptr;
    decltype(&nvrtcDestroyProgram) destroy_program = nullptr;
    decltype(&nvrtcCompileProgram) compile_program = nullptr;
    decltype(&nvrtcGetPTXSize) get_ptx_size = nullptr;
    decltype(&nvrtcGetPTX) get_ptx = nullptr;
    decltype(&nvrtcGetCUBINSize) get_cubin_size = nullptr;
    decltype(&nvrtcGetCUBIN) get_cubin = nullptr;
    decltype(&nvrtcGetProgramLogSize) get_program_log_size = nullptr;
    decltype(&nvrtcGetProgramLog) get_program_log = nullptr;
    decltype(&nvrtcAddNameExpression) add_name_expression = nullptr;
    decltype(&nvrtcGetLoweredName) get_lowered_name = nullptr;
};

/// Opens the candidate's builtins and then the candidate, once a process. Null: `reason` says why
/// not. Any thread.
[[nodiscard]] const NvrtcApi* open_nvrtc(const NvrtcCandidate& candidate, std::string& reason);

/// Why `api` cannot compile for `target`; empty where it can.
[[nodiscard]] std::string why_unsupported(const NvrtcApi& api, const Target& target);

}  // namespace opforge::builder
