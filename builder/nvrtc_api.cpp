#include "nvrtc_api.hpp"

#include <opforge/base/dynamic_library.hpp>
#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/base/process_object.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>

namespace opforge::builder {
namespace {

template <typename Function>
bool fill(Function& into, const DynamicLibrary& library, const char* name, std::string& missing) {
    into = reinterpret_cast<Function>(library.symbol(name));
    if (into == nullptr) {
        missing = name;
    }
    return into != nullptr;
}

bool fill_table(NvrtcApi& api, const DynamicLibrary& library, std::string& missing) {
    return fill(api.get_error_string, library, "nvrtcGetErrorString", missing) &&
           fill(api.version, library, "nvrtcVersion", missing) &&
           fill(api.get_num_supported_archs, library, "nvrtcGetNumSupportedArchs", missing) &&
           fill(api.get_supported_archs, library, "nvrtcGetSupportedArchs", missing) &&
           fill(api.create_program, library, "nvrtcCreateProgram", missing) &&
           fill(api.destroy_program, library, "nvrtcDestroyProgram", missing) &&
           fill(api.compile_program, library, "nvrtcCompileProgram", missing) &&
           fill(api.get_ptx_size, library, "nvrtcGetPTXSize", missing) &&
           fill(api.get_ptx, library, "nvrtcGetPTX", missing) &&
           fill(api.get_cubin_size, library, "nvrtcGetCUBINSize", missing) &&
           fill(api.get_cubin, library, "nvrtcGetCUBIN", missing) &&
           fill(api.get_program_log_size, library, "nvrtcGetProgramLogSize", missing) &&
           fill(api.get_program_log, library, "nvrtcGetProgramLog", missing) &&
           fill(api.add_name_expression, library, "nvrtcAddNameExpression", missing) &&
           fill(api.get_lowered_name, library, "nvrtcGetLoweredName", missing);
}

// libnvrtc looks its builtins up by soname, and the loader then answers with a copy that is loaded
// already, whoever loaded it (a framework's wheel in the same process, say): another build's
// builtins under our fingerprint.
std::string foreign_builtins(const std::filesystem::path& ours) {
    const std::unique_ptr<void, int (*)(void*)> loaded(
        ::dlopen(ours.filename().c_str(), RTLD_LAZY | RTLD_NOLOAD), &::dlclose);
    if (!loaded) {
        return {};
    }
    const std::string path = DynamicLibrary(ours.filename()).path();
    std::error_code error;
    const bool same = std::filesystem::equivalent(path, ours, error);
    return same && !error ? std::string{} : path;
}

std::unique_ptr<const NvrtcApi> open(const NvrtcCandidate& candidate, std::string& reason) {
    if (const std::string foreign = foreign_builtins(candidate.builtins); !foreign.empty()) {
        reason = fmt::format("this process already uses another copy of its builtins, {}", foreign);
        return nullptr;
    }
    // First, and by absolute path: see above.
    DynamicLibrary builtins(candidate.builtins.string());
    if (!builtins.is_open()) {
        reason = fmt::format("its builtins do not open: {}", builtins.error());
        return nullptr;
    }
    builtins.leak();
    DynamicLibrary library(candidate.library.string());
    if (!library.is_open()) {
        reason = fmt::format("does not open: {}", library.error());
        return nullptr;
    }
    library.leak();
    auto api = std::make_unique<NvrtcApi>();
    std::string missing;
    if (!fill_table(*api, library, missing)) {
        reason = fmt::format("has no function {}", missing);
        return nullptr;
    }
    int count = 0;
    nvrtcResult result = api->version(&api->major, &api->minor);
    if (result == NVRTC_SUCCESS) {
        result = api->get_num_supported_archs(&count);
    }
    if (result == NVRTC_SUCCESS) {
        api->architectures.resize(static_cast<std::size_t>(std::max(count, 0)));
        result = api->get_supported_archs(api->architectures.data());
    }
    if (result != NVRTC_SUCCESS) {
        reason = fmt::format("cannot say what it supports: {}", api->get_error_string(result));
        return nullptr;
    }
    if (api->major != candidate.major || api->minor != candidate.minor) {
        reason = fmt::format("says it is version {}.{}, but the builtins beside it are of {}.{}",
                             api->major, api->minor, candidate.major, candidate.minor);
        return nullptr;
    }
    return api;
}

// Never destroyed, as what it points to is never closed. A library replaced in place has another
// fingerprint; the process keeps the old one mapped and cannot open both.
struct OpenedLibraries {
    ForkSafeMutex mutex{ForkOrder::inner};
    std::map<std::filesystem::path, std::pair<std::string, std::unique_ptr<const NvrtcApi>>> all;
};
constinit ProcessObject<OpenedLibraries> opened_libraries;

}  // namespace

const NvrtcApi* open_nvrtc(const NvrtcCandidate& candidate, std::string& reason) {
    auto& [mutex, opened] = opened_libraries.get();
    const std::lock_guard lock(mutex);
    if (const auto found = opened.find(candidate.library); found != opened.end()) {
        if (found->second.first != candidate.fingerprint) {
            reason = "was replaced since this process opened it; restart to use the new one";
            return nullptr;
        }
        return found->second.second.get();
    }
    auto api = open(candidate, reason);
    const NvrtcApi* const result = api.get();
    if (api) {
        opened.emplace(candidate.library, std::pair(candidate.fingerprint, std::move(api)));
    }
    return result;
}

std::string why_unsupported(const NvrtcApi& api, const Target& target) {
    const int number = target.major * 10 + target.minor;
    const auto& known = api.architectures;
    if (std::find(known.begin(), known.end(), number) == known.end()) {
        return fmt::format("NVRTC {}.{} does not know {}; it knows {}", api.major, api.minor,
                           target.name(), fmt::join(known, ", "));
    }
    const bool family = target.suffix == Target::Suffix::family;
    if (family && (api.major < 12 || (api.major == 12 && api.minor < 9))) {
        return fmt::format("NVRTC {}.{} does not know family targets such as {}; 12.9 does",
                           api.major, api.minor, target.name());
    }
    return {};
}

}  // namespace opforge::builder
