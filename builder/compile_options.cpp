#include <opforge/base/error.hpp>
#include <opforge/builder/compile_options.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace opforge::builder {
namespace {

bool is_identifier(const std::string& text) {
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return !text.empty() && is_letter(text.front()) &&
           std::all_of(text.begin(), text.end(),
                       [&](char c) { return is_letter(c) || is_digit(c); });
}

// A define is one argument of its own, never a piece of a command line, so that spaces and quotes
// pass unharmed. A line end would not: the compiler ends the macro there and reads what follows as
// source.
void check_define(const std::pair<std::string, std::string>& define) {
    if (!is_identifier(define.first)) {
        throw InvalidArgument(
            fmt::format("compile options: the define `{}` is not a C identifier", define.first));
    }
    const bool control = std::any_of(define.second.begin(), define.second.end(),
                                     [](char c) { return c == '\n' || c == '\r' || c == '\0'; });
    if (control) {
        throw InvalidArgument(fmt::format(
            "compile options: the value of the define {} holds a line end or a NUL", define.first));
    }
}

const char* boolean(bool value) {
    return value ? "true" : "false";
}

/// Those that every NVRTC takes.
std::vector<std::string> common_options(const CompileOptions& of) {
    if (of.cxx_standard != 14 && of.cxx_standard != 17 && of.cxx_standard != 20) {
        throw InvalidArgument(fmt::format(
            "compile options: C++{} is not a standard that NVRTC takes; use 14, 17 or 20",
            of.cxx_standard));
    }
    if (of.max_registers < 0) {
        throw InvalidArgument(
            fmt::format("compile options: {} registers a thread cannot be a limit; use "
                        "0 for none",
                        of.max_registers));
    }
    std::vector<std::string> options = {
        fmt::format("--fmad={}", boolean(of.contract_fma)),
        fmt::format("--ftz={}", boolean(of.flush_denormals)),
        fmt::format("--prec-div={}", boolean(of.precise_division)),
        fmt::format("--prec-sqrt={}", boolean(of.precise_sqrt)),
        fmt::format("--std=c++{}", of.cxx_standard),
    };
    if (of.line_info) {
        options.emplace_back("--generate-line-info");
    }
    if (of.max_registers > 0) {
        options.push_back(fmt::format("--maxrregcount={}", of.max_registers));
    }
    return options;
}

}  // namespace

std::vector<std::string> CompileOptions::normalised() const {
    std::vector<std::string> options = common_options(*this);
    if (minimal) {
        options.emplace_back("--minimal");
    }
    std::sort(options.begin(), options.end());
    return options;
}

std::vector<std::string> CompileOptions::nvrtc_arguments(const Target& target) const {
    std::vector<std::string> arguments = common_options(*this);
    std::sort(arguments.begin(), arguments.end());
    // Without this NVRTC opens files of the current directory for an #include that is not in its
    // header map.
    arguments.emplace_back("--no-source-include");
    arguments.push_back(fmt::format("--gpu-architecture={}", target.name()));
    auto sorted = defines;
    std::sort(sorted.begin(), sorted.end());
    for (const auto& define : sorted) {
        check_define(define);
        arguments.push_back(fmt::format("-D{}={}", define.first, define.second));
    }
    const auto twice =
        std::adjacent_find(sorted.begin(), sorted.end(),
                           [](const auto& a, const auto& b) { return a.first == b.first; });
    if (twice != sorted.end()) {
        throw InvalidArgument(fmt::format("compile options: {} is defined twice", twice->first));
    }
    return arguments;
}

}  // namespace opforge::builder
