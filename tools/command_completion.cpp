// `opforge completion`: prints a shell's completion script.
#include "completion.hpp"
#include "session.hpp"

#include <CLI/CLI.hpp>

#include <memory>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "completion", "Print a completion script for bash, zsh or fish",
    "  source <(opforge completion bash)      now, in this shell\n"
    "  opforge completion bash > ~/.local/share/bash-completion/completions/opforge\n"
    "      in every shell from now on\n"};

}  // namespace

void add_completion(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    const auto shell = std::make_shared<std::string>();
    verb.add_option("SHELL", *shell, "bash, zsh or fish")
        ->option_text(" ")
        ->required()
        ->check(is_value);
    verb.callback([shell, &app, &session] {
        // Made now: the parsed command line goes away before the verb runs.
        const auto verbs = completion_verbs(app, session.catalog->names());
        session.action = [shell, verbs, &session] {
            CommandResult result;
            result.text = completion_script(*shell, session.program, verbs);
            result.data = {{"shell", *shell}, {"script", result.text}};
            return result;
        };
    });
}

}  // namespace opforge::tools
