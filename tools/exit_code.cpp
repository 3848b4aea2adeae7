#include "exit_code.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace opforge::tools {
namespace {

constexpr std::array<std::pair<std::string_view, ExitCode>, 10> kCodes = {{
    {"UsageError", ExitCode::usage},
    {"InvalidArgument", ExitCode::usage},
    {"IntegrityError", ExitCode::check_failed},
    {"InputError", ExitCode::bad_input},
    {"UnsupportedDtype", ExitCode::bad_input},
    {"OfflineMiss", ExitCode::offline_miss},
    {"ToolchainNotFound", ExitCode::no_toolchain},
    {"CacheError", ExitCode::disk_refused},
    {"OutputError", ExitCode::disk_refused},
    {"NoDevice", ExitCode::no_device},
}};

}  // namespace

ExitCode exit_code_of(std::string_view error_kind) noexcept {
    for (const auto& [kind, code] : kCodes) {
        if (kind == error_kind) {
            return code;
        }
    }
    return ExitCode::defect;
}

ExitCode exit_code_of_items(std::span<const std::string> error_kinds) noexcept {
    if (error_kinds.empty()) {
        return ExitCode::done;
    }
    // What the user has to change first comes first: the policy, then the compiler, then the disk.
    for (const ExitCode code :
         {ExitCode::offline_miss, ExitCode::no_toolchain, ExitCode::disk_refused}) {
        const auto ends_so = [code](const std::string& kind) { return exit_code_of(kind) == code; };
        if (std::any_of(error_kinds.begin(), error_kinds.end(), ends_so)) {
            return code;
        }
    }
    return ExitCode::some_failed;
}

}  // namespace opforge::tools
