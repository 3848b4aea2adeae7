// Completion scripts for shells, made from the command line as it is parsed: they cannot drift from
// it.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace opforge::tools {

/// A verb with its options, below the verbs that lead to it: {"cache", "list"}.
struct CompletionVerb {
    std::vector<std::string> path;  // empty: the program itself
    std::vector<std::string> verbs;
    struct Option {
        std::vector<std::string> names;  // "--cache-dir", "-j"
        std::string description;
        bool takes_value = false;
        bool takes_folder = false;
        bool takes_file = false;
        std::vector<std::string> values;  // the words it takes; empty: any
    };
    std::vector<Option> options;
    std::string description;
    bool takes_ops = false;          // its argument is an op
    bool takes_files = false;        // its argument is a file
    std::vector<std::string> words;  // those that its argument takes
};

/// The program and every verb, parents first. `ops`: what --ops and OP take.
[[nodiscard]] std::vector<CompletionVerb> completion_verbs(const CLI::App& app,
                                                           const std::vector<std::string>& ops);

/// A script for "bash", "zsh" or "fish" that completes `program`.
/// @throws InvalidArgument for another shell
[[nodiscard]] std::string completion_script(std::string_view shell, const std::string& program,
                                            const std::vector<CompletionVerb>& verbs);

}  // namespace opforge::tools
