// One run of the tool: parse, run one verb, print its result in the form asked for, exit with the
// table's code.
#include "arguments.hpp"
#include "staged_output.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/builder/quantizer_builder.hpp>
#include <opforge/tool/run.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <string>
#include <unistd.h>

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

CommandResult run_verb(int count, const char* const* values, Session& session) {
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
        if (!session.quiet) {
            opforge::warn_of_unknown_variables();
        }
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

// A program may be started with its standard files closed. The next file that is opened would then
// take their number, and a warning be written into an output. Standard output stays unwritable.
void occupy_standard_files() {
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(number, F_GETFD) < 0) {
            // The lowest free number is this one.
            static_cast<void>(::open("/dev/null", number == STDERR_FILENO ? O_WRONLY : O_RDONLY));
        }
    }
}

// Not fmt::print: that throws where the file refuses, and standard error may.
bool print(std::FILE* file, const std::string& text) {
    return std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0;
}

}  // namespace

namespace opforge::tool {

Catalog own_ops() {
    Catalog catalog;
    catalog.add<builder::QuantizerBuilder>("quantizer");
    return catalog;
}

int run(int argc, const char* const* argv, const Catalog& catalog) {
    occupy_standard_files();
    tools::handle_termination_signals();
    Session session(catalog);
    const CommandResult result = run_verb(argc, argv, session);
    const bool printed = print(stdout, session.json_stream ? tools::result_event(result)
                                       : session.json      ? tools::envelope(result)
                                                           : result.text);
    print(stderr, tools::format_problems(result.problems, session.color_errors()));
    if (!printed) {
        print(stderr, "opforge: standard output cannot be written\n");
    }
    return static_cast<int>(printed ? result.code : ExitCode::disk_refused);
}

}  // namespace opforge::tool
