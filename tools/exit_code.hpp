// The exit codes of the tools, and which error ends with which. The table is in docs/operations.md.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace opforge::tools {

enum class ExitCode : int {
    done = 0,
    check_failed = 1,
    usage = 2,
    some_failed = 3,  // items failed for a reason without a code of its own, the others are done
    bad_input = 4,
    no_toolchain = 5,
    disk_refused = 6,
    offline_miss = 8,
    no_device = 9,
    defect = 70,        // ours (EX_SOFTWARE)
    interrupted = 130,  // SIGINT
    terminated = 143,   // SIGTERM
};

/// For an error that ends a whole command, by its kind ("InvalidArgument", ...).
[[nodiscard]] ExitCode exit_code_of(std::string_view error_kind) noexcept;

/// For a list of items of which some failed, by the kinds of their errors: the most telling code of
/// all, some_failed where none has a code of its own, done for an empty list.
[[nodiscard]] ExitCode exit_code_of_items(std::span<const std::string> error_kinds) noexcept;

}  // namespace opforge::tools
