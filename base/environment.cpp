#include <opforge/base/environment.hpp>
#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

namespace opforge {

std::optional<std::string> environment(const char* name) {
    // secure_getenv answers null in a setuid process: whoever starts it must not choose what code
    // it loads.
    const char* value = ::secure_getenv(name);
    if (value == nullptr || *value == '\0') {
        return std::nullopt;
    }
    return std::string(value);
}

std::vector<std::string> unknown_variables() {
    constexpr std::array<std::string_view, 12> kKnown = {
        "OPFORGE_CACHE_DIR",  "OPFORGE_LAYERS",        "OPFORGE_CACHE_MAX_SIZE",
        "OPFORGE_POLICY",     "OPFORGE_NVRTC_LIBRARY", "OPFORGE_ARCH",
        "OPFORGE_JOBS",       "OPFORGE_LOG_LEVEL",     "OPFORGE_PROFILE",
        "OPFORGE_GOLDEN_DIR", "OPFORGE_CUDA_LIBRARY",  "OPFORGE_KEEP_DIR"};
    std::vector<std::string> unknown;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::string_view name = text.substr(0, text.find('='));
        if (name.starts_with("OPFORGE_") &&
            std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
            unknown.emplace_back(name);
        }
    }
    return unknown;
}

void warn_of_unknown_variables() {
    static std::atomic_flag done;
    if (done.test_and_set()) {
        return;
    }
    for (const std::string& name : unknown_variables()) {
        log(LogLevel::warning,
            fmt::format("environment: {} is not a variable opforge knows; it has no effect", name));
    }
}

}  // namespace opforge
