#include "program.hpp"

#include "check.hpp"

#include <opforge/builder/errors.hpp>
#include <opforge/driver/errors.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <system_error>

namespace opforge::golden {

namespace {

constexpr int kCheckFailed = 1;
constexpr int kUsage = 2;
constexpr int kBadInput = 4;
constexpr int kNoToolchain = 5;
constexpr int kDiskRefused = 6;
constexpr int kOffline = 8;
constexpr int kNoDevice = 9;
constexpr int kDefect = 70;

struct Arguments {
    runtime::Device device;
    std::optional<std::filesystem::path> dump;
    std::filesystem::path directory;
};

std::optional<runtime::Device> parse_device(const std::string& text) {
    if (text == "cpu") {
        return runtime::Device::cpu();
    }
    constexpr std::string_view kPrefix = "cuda:";
    int ordinal = -1;
    const char* end = text.data() + text.size();
    if (text.rfind(kPrefix, 0) == 0 && text.size() > kPrefix.size()) {
        const auto [rest, error] = std::from_chars(text.data() + kPrefix.size(), end, ordinal);
        if (error == std::errc{} && rest == end && ordinal >= 0) {
            return runtime::Device::cuda(ordinal);
        }
    }
    return std::nullopt;
}

// Nullopt and `exit_code` set where the program ends here.
std::optional<Arguments> parse_arguments(int argc, const char* const* argv, std::ostream& out,
                                         std::ostream& err, int& exit_code) {
    CLI::App app(
        "Runs a directory of reference vectors and compares every output bit for bit with what is\n"
        "expected; any NaN equals any NaN. Prints one line for each op, and one for each failing "
        "case.\n",
        "opforge-golden");
    app.footer(
        "Exit codes: 0 all exact (or skipped: an unknown op, or, for a dump, nothing expected); "
        "1 a case failed; 2 wrong usage;\n"
        "4 bad or missing input files; 5 no usable NVRTC; 6 the dump or the results cannot be "
        "written; 8 a "
        "compile would\n"
        "have been needed offline; 9 no such device; 70 a defect of the program.");
    std::string device = "cpu";
    std::string dump;
    std::string directory;
    app.add_option("--device", device, "Where the ops run: cpu, or cuda:N")->capture_default_str();
    app.add_option("--dump", dump, "Write the outputs there, in the format of vectors")
        ->type_name("OUT");
    app.add_option("DIR", directory,
                   "Directory with reference.json and reference.bin.gz (or reference.bin)")
        ->required();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        exit_code = app.exit(error, out, err) == 0 ? 0 : kUsage;
        return std::nullopt;
    }
    const auto parsed = parse_device(device);
    if (!parsed.has_value()) {
        err << fmt::format("opforge-golden: --device \"{}\" is neither cpu nor cuda:N\n", device);
        exit_code = kUsage;
        return std::nullopt;
    }
    Arguments arguments{*parsed, std::nullopt, directory};
    if (!dump.empty()) {
        arguments.dump = dump;
        std::error_code ignored;
        if (std::filesystem::equivalent(dump, directory, ignored)) {
            err << fmt::format("opforge-golden: --dump {} would overwrite the vectors it reads; "
                               "name another directory\n",
                               dump);
            exit_code = kUsage;
            return std::nullopt;
        }
    }
    return arguments;
}

void print_summary(const Summary& summary, std::ostream& out) {
    out << fmt::format("{:<40} {:>7} {:>7} {:>7} {:>7}\n", "op", "cases", "exact", "failed",
                       "skipped");
    for (const auto& [op, counts] : summary.ops) {
        out << fmt::format("{:<40} {:>7} {:>7} {:>7} {:>7}\n", printable(op), counts.cases,
                           counts.exact, counts.failed, counts.skipped);
    }
    for (const Failure& failure : summary.failures) {
        out << fmt::format("FAILED case {} {} {} {}\n", failure.index, printable(failure.op),
                           failure.attributes, failure.what);
    }
}

int run(const Arguments& arguments, std::ostream& out) {
    Vectors vectors = read_vectors(arguments.directory);
    const Place place(arguments.device);
    // Who asks for a dump may be after the outputs alone.
    const Judge judge = arguments.dump.has_value() ? Judge::where_expected : Judge::all;
    const Summary summary = check_vectors(vectors, place, judge);
    print_summary(summary, out);
    if (arguments.dump.has_value()) {
        vectors.source = arguments.device.kind == runtime::Device::Kind::cpu
                             ? "opforge, host"
                             : fmt::format("opforge, cuda:{}", arguments.device.ordinal);
        write_vectors(*arguments.dump, vectors);
    }
    return summary.failures.empty() ? 0 : kCheckFailed;
}

int exit_code_of(const std::exception& error) noexcept {
    if (dynamic_cast<const VectorError*>(&error) != nullptr) {
        return kBadInput;
    }
    if (dynamic_cast<const ToolchainNotFound*>(&error) != nullptr) {
        return kNoToolchain;
    }
    if (dynamic_cast<const WriteError*>(&error) != nullptr) {
        return kDiskRefused;
    }
    if (dynamic_cast<const OfflineMiss*>(&error) != nullptr) {
        return kOffline;
    }
    if (dynamic_cast<const NoDevice*>(&error) != nullptr) {
        return kNoDevice;
    }
    return kDefect;
}

}  // namespace

int run_program(int argc, const char* const* argv, std::ostream& out, std::ostream& err) noexcept {
    try {
        int exit_code = 0;
        const auto arguments = parse_arguments(argc, argv, out, err, exit_code);
        if (arguments.has_value()) {
            exit_code = run(*arguments, out);
        }
        // Who reads the lines must not take a full disk for a directory without failures.
        if (!out.flush()) {
            throw WriteError("write the results: standard output cannot be written");
        }
        return exit_code;
    } catch (const std::exception& error) {
        const int code = exit_code_of(error);
        err << "opforge-golden: " << error.what() << '\n';
        return code;
    }
}

}  // namespace opforge::golden
