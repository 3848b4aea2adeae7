// The `opforge` command: parse, run one verb, print its result in the form asked for, exit with the
// table's code.
#include "arguments.hpp"
#include "staged_output.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>

namespace {

using opforge::tools::CommandResult;
using opforge::tools::ExitCode;
using opforge::tools::Session;

CommandResult failure(ExitCode code, std::string kind, std::string message) {
    CommandResult result;
    result.code = code;
    result.problems.push_back({std::move(kind), std::move(message)});
    return result;
}

CommandResult run(int count, const char* const* values, Session& session) {
    try {
        if (auto early = opforge::tools::parse_arguments(count, values, session)) {
            return *early;
        }
        if (!session.log_level.empty()) {
            const auto level = opforge::parse_log_level(session.log_level);
            if (!level) {
                throw opforge::InvalidArgument(
                    fmt::format("--log-level \"{}\": use trace, debug, info, warning, error or off",
                                session.log_level));
            }
            opforge::set_log_level(*level);
        }
        opforge::warn_of_unknown_variables();
        return session.action();
    } catch (const opforge::Error& error) {
        return failure(opforge::tools::exit_code_of(error.kind()), std::string(error.kind()),
                       error.what());
    } catch (const std::exception& error) {
        return failure(ExitCode::defect, "Defect",
                       fmt::format("{}\nThis is a defect of opforge: please report it with the "
                                   "command line and the output of \"opforge report\".",
                                   error.what()));
    }
}

bool print(const std::string& text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
           std::fflush(stdout) == 0;
}

}  // namespace

int main(int argc, char** argv) {
    opforge::tools::handle_termination_signals();
    Session session;
    const CommandResult result = run(argc, argv, session);
    const bool printed = print(session.json ? opforge::tools::envelope(result) : result.text);
    fmt::print(stderr, "{}", opforge::tools::format_problems(result.problems));
    if (!printed) {
        fmt::print(stderr, "opforge: standard output cannot be written\n");
    }
    return static_cast<int>(printed ? result.code : ExitCode::disk_refused);
}
