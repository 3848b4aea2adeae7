#include <opforge/builder/errors.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace opforge {

CompileError::CompileError(std::string program, std::string target,
                           std::vector<std::string> options, std::string log)
    : Error(fmt::format("compile {} for {}: the compiler refused it; options: {}; its log:\n{}",
                        program, target, fmt::join(options, " "), log)),
      program_(std::move(program)), target_(std::move(target)), options_(std::move(options)),
      log_(std::move(log)) {}

// Out of line, so that each type has one vtable: a host catches the same type that the library
// threw.
CompileError::~CompileError() = default;
std::string_view CompileError::kind() const noexcept {
    return "CompileError";
}

ToolchainNotFound::~ToolchainNotFound() = default;
std::string_view ToolchainNotFound::kind() const noexcept {
    return "ToolchainNotFound";
}

OfflineMiss::~OfflineMiss() = default;
std::string_view OfflineMiss::kind() const noexcept {
    return "OfflineMiss";
}

}  // namespace opforge
