// `opforge record`: runs a command and notes what its processes ask opforge for.
#include "child_process.hpp"
#include "profile_file.hpp"
#include "session.hpp"

#include <opforge/base/shell_words.hpp>
#include <opforge/builder/profile.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <memory>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "record", "Run a command and note which kernels it asks for, for prewarm --profile",
    "  opforge record -- python serve.py\n"
    "      notes them in opforge-profile.jsonl, beside what earlier runs noted there\n"
    "  opforge record -o service.jsonl -- ./service --self-test\n"
    "  opforge prewarm --profile service.jsonl --arch 8.0,9.0\n"
    "      then compiles exactly those, for other GPUs too\n"};

struct Options {
    std::string output = "opforge-profile.jsonl";
    std::vector<std::string> command;
};

std::vector<builder::PrewarmJob> profile_in(const std::filesystem::path& path) {
    return std::filesystem::exists(path) ? read_profile(path) : std::vector<builder::PrewarmJob>{};
}

CommandResult record(const Options& options, const Session& session) {
    const std::filesystem::path path = std::filesystem::absolute(options.output);
    const std::size_t before = profile_in(path).size();  // also: refuses what is no profile
    const int ended =
        run_in_foreground(options.command, {{"OPFORGE_PROFILE", path.string()}}, session.json);
    const auto after = profile_in(path);
    CommandResult result;
    // The command's own, also where that is none of ours: `record` stands in its place.
    result.code = static_cast<ExitCode>(ended);
    result.data = {{"profile", path.string()},     {"command", shell_words(options.command)},
                   {"exit_code", ended},           {"programs", after.size()},
                   {"new", after.size() - before}, {"recorded", Json::array()}};
    for (const builder::PrewarmJob& job : after) {
        result.data["recorded"].push_back(
            {{"op", job.op}, {"program", job.program}, {"target", job.target.name()}});
    }
    // Not to standard output, which is the command's.
    std::cerr << fmt::format("opforge: {} programs in {}, {} of them new\n", after.size(),
                             printable(path.string()), after.size() - before);
    return result;
}

}  // namespace

void add_record(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    const auto options = std::make_shared<Options>();
    verb.add_option("-o,--output", options->output,
                    "The profile, appended to (opforge-profile.jsonl)")
        ->option_text("FILE")
        ->check(is_value);
    verb.add_option("CMD", options->command, "The command, after --")->option_text(" ")->required();
    verb.callback([options, &session] {
        session.action = [options, &session] { return record(*options, session); };
    });
}

}  // namespace opforge::tools
