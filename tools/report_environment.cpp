// The report's variables: those that change what opforge, NVRTC or the driver do.
#include "report.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/builder/prewarm.hpp>
#include <opforge/builder/target.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <unistd.h>

namespace opforge::tools {
namespace {

/// A variable of CUDA's that changes timings or what can be loaded.
struct CudaVariable {
    const char* name;
    const char* harmless;  // the value that changes nothing; null: none
    Verdict verdict;
    const char* effect;
};

constexpr std::array<CudaVariable, 6> kCudaVariables = {{
    {"CUDA_FORCE_PTX_JIT", "0", Verdict::warning,
     "the driver refuses cubins and translates PTX only: entries for sm_* cannot be loaded"},
    {"CUDA_DISABLE_PTX_JIT", "0", Verdict::warning,
     "the driver translates no PTX: entries for compute_* cannot be loaded"},
    {"CUDA_CACHE_DISABLE", "0", Verdict::note,
     "the driver translates PTX anew at each start; cubins are not affected"},
    {"CUDA_CACHE_PATH", nullptr, Verdict::note, "where the driver keeps what it makes of PTX"},
    {"CUDA_CACHE_MAXSIZE", nullptr, Verdict::note, "how much of it the driver keeps"},
    {"CUDA_MODULE_LOADING", "LAZY", Verdict::note,
     "EAGER loads every kernel of a program at once: first uses take longer"},
}};

void add_cuda_checks(std::vector<Check>& checks) {
    for (const CudaVariable& variable : kCudaVariables) {
        const auto value = environment(variable.name);
        if (value && (variable.harmless == nullptr || *value != variable.harmless)) {
            checks.push_back({fmt::format("environment.{}", variable.name), variable.verdict,
                              fmt::format("{}: {}", *value, variable.effect),
                              variable.verdict == Verdict::warning
                                  ? fmt::format("unset {}", variable.name)
                                  : ""});
        }
    }
}

// A value that opforge cannot read, told with the error that it would be.
void add_value_check(std::vector<Check>& checks, const char* name,
                     const std::function<void(const std::string&)>& read) {
    const auto value = environment(name);
    if (!value) {
        return;
    }
    try {
        read(*value);
    } catch (const Error& error) {
        checks.push_back({fmt::format("environment.{}", name), Verdict::failed, error.what(),
                          fmt::format("set {} right, or unset it", name)});
    }
}

void add_value_checks(std::vector<Check>& checks) {
    add_value_check(checks, "OPFORGE_POLICY",
                    [](const std::string& text) { static_cast<void>(cache::parse_policy(text)); });
    for (const char* name : {"OPFORGE_JOBS", "MAX_JOBS"}) {
        add_value_check(checks, name,
                        [](const std::string&) { static_cast<void>(builder::prewarm_workers()); });
    }
    for (const char* name : {"OPFORGE_ARCH", "TORCH_CUDA_ARCH_LIST"}) {
        add_value_check(checks, name, [](const std::string& text) {
            // What `native` and `all-major` stand for does not matter here.
            const std::vector<builder::Target> any = {{9, 0}};
            static_cast<void>(builder::parse_targets(text, {any, any}));
        });
    }
    add_value_check(checks, "OPFORGE_LOG_LEVEL", [](const std::string& text) {
        if (!parse_log_level(text)) {
            throw InvalidArgument(
                fmt::format("\"{}\": use trace, debug, info, warning, error or off", text));
        }
    });
}

}  // namespace

Section environment_section() {
    constexpr std::array<std::string_view, 10> kNames = {
        "TORCH_CUDA_ARCH_LIST", "MAX_JOBS",   "XDG_CACHE_HOME", "VIRTUAL_ENV",    "CONDA_PREFIX",
        "LD_LIBRARY_PATH",      "LD_PRELOAD", "NO_COLOR",       "CLICOLOR_FORCE", "CI"};
    std::vector<std::string> found;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::string_view name = text.substr(0, text.find('='));
        if (name.starts_with("OPFORGE_") || name.starts_with("CUDA_") ||
            std::find(kNames.begin(), kNames.end(), name) != kNames.end()) {
            found.emplace_back(text);
        }
    }
    std::sort(found.begin(), found.end());
    Section section{{}, Json::object()};
    for (const std::string& text : found) {
        section.text += fmt::format("env      {}\n", text);
        const std::size_t equals = std::min(text.find('='), text.size() - 1);
        section.data[text.substr(0, equals)] = text.substr(equals + 1);
    }
    for (const std::string& name : unknown_variables()) {
        section.checks.push_back({fmt::format("environment.{}", name), Verdict::warning,
                                  "is not a variable opforge knows; it has no effect",
                                  "see docs/operations.md for those there are"});
    }
    add_value_checks(section.checks);
    add_cuda_checks(section.checks);
    return section;
}

}  // namespace opforge::tools
