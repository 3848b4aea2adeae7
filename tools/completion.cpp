#include "completion.hpp"

#include <opforge/base/error.hpp>
#include <opforge/base/shell_words.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace opforge::tools {
namespace {

using Words = std::vector<std::string>;

// What options take that have a few words for values. A test holds the lists against the parsers.
const std::map<std::string, Words>& known_values() {
    static const std::map<std::string, Words> values = {
        {"--policy", {"exact", "compatible", "offline"}},
        {"--progress", {"auto", "plain", "none", "json"}},
        {"--color", {"auto", "always", "never"}},
        {"--log-level", {"trace", "debug", "info", "warning", "error", "off"}},
        {"--arch", {"native", "all-major", "sm_80", "sm_90", "sm_100", "sm_120"}}};
    return values;
}

CompletionVerb::Option option_of(const CLI::Option& option, const Words& ops) {
    CompletionVerb::Option made;
    for (const std::string& name : option.get_lnames()) {
        made.names.push_back("--" + name);
    }
    for (const std::string& name : option.get_snames()) {
        made.names.push_back("-" + name);
    }
    made.description = option.get_description();
    made.takes_value = option.get_items_expected_max() > 0;
    made.takes_folder = option.get_option_text() == "DIR";
    made.takes_file = option.get_option_text() == "FILE" || option.get_option_text() == "OUT";
    for (const std::string& name : made.names) {
        if (const auto found = known_values().find(name); found != known_values().end()) {
            made.values = found->second;
        }
        if (name == "--ops") {
            made.values = ops;
        }
    }
    return made;
}

void add_verb(std::vector<CompletionVerb>& into, const CLI::App& app, const Words& path,
              const Words& ops) {
    CompletionVerb verb;
    verb.path = path;
    verb.description = app.get_description();
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_positional()) {
            verb.takes_ops = verb.takes_ops || option->get_name() == "OP";
            verb.takes_files = verb.takes_files || option->get_name() == "FILE";
            if (option->get_name() == "SHELL") {
                verb.words = {"bash", "zsh", "fish"};
            }
        } else if (!option->get_group().empty()) {
            verb.options.push_back(option_of(*option, ops));
        }
    }
    if (verb.takes_ops) {
        verb.words = ops;
    }
    const auto below = app.get_subcommands({});
    for (const CLI::App* one : below) {
        verb.verbs.push_back(one->get_name());
    }
    into.push_back(std::move(verb));
    for (const CLI::App* one : below) {
        Words deeper = path;
        deeper.push_back(one->get_name());
        add_verb(into, *one, deeper, ops);
    }
}

std::string identifier(const std::string& program) {
    std::string name = "_" + program;
    std::replace_if(
        name.begin(), name.end(),
        [](char c) {
            return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'));
        },
        '_');
    return name;
}

// One arm of the case over "path:option".
std::string value_arms(const CompletionVerb& verb) {
    std::string text;
    const std::string path = fmt::format("{}", fmt::join(verb.path, " "));
    for (const CompletionVerb::Option& option : verb.options) {
        if (!option.takes_value) {
            continue;
        }
        std::string action = "return";
        if (!option.values.empty()) {
            action = fmt::format("words={}",
                                 shell_word(fmt::format("{}", fmt::join(option.values, " "))));
        } else if (option.takes_folder) {
            action = "files=-d";
        } else if (option.takes_file) {
            action = "files=-f";
        }
        for (const std::string& name : option.names) {
            text += fmt::format("    {}) {} ;;\n", shell_word(path + ":" + name), action);
        }
    }
    return text;
}

std::string word_arm(const CompletionVerb& verb) {
    Words words = verb.verbs;
    words.insert(words.end(), verb.words.begin(), verb.words.end());
    Words options;
    for (const CompletionVerb::Option& option : verb.options) {
        options.insert(options.end(), option.names.begin(), option.names.end());
    }
    const std::string path = fmt::format("{}", fmt::join(verb.path, " "));
    return fmt::format("    {}) verbs={}; words={}; options={}{} ;;\n", shell_word(path),
                       shell_word(fmt::format("{}", fmt::join(verb.verbs, " "))),
                       shell_word(fmt::format("{}", fmt::join(words, " "))),
                       shell_word(fmt::format("{}", fmt::join(options, " "))),
                       verb.takes_files ? "; files=-f" : "");
}

std::string bash_script(const std::string& program, const std::vector<CompletionVerb>& verbs) {
    const std::string function = identifier(program);
    std::string arms;
    std::string values;
    for (const CompletionVerb& verb : verbs) {
        arms += word_arm(verb);
        values += value_arms(verb);
    }
    // The path of verbs is found word by word; a list's last part is completed, the rest kept.
    return fmt::format(R"(# bash completion for {0}: source <({0} completion bash)
{1}_verb() {{
    verbs= words= options= files=
    case "$1" in
{2}    esac
}}
{1}_value() {{
    words= files=
    case "$1" in
{3}    *) return 1 ;;
    esac
}}
{1}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} path= verbs words options files i word
    {1}_verb ""
    for ((i = 1; i < COMP_CWORD; ++i)); do
        word=${{COMP_WORDS[i]}}
        [[ $word == -- ]] && {{ COMPREPLY=($(compgen -c -f -- "$cur")); return; }}
        if [[ " $verbs " == *" $word "* ]]; then
            path=${{path:+$path }}$word
            {1}_verb "$path"
        fi
    done
    if [[ $prev == -* ]] && {1}_value "$path:$prev"; then
        options=
    elif [[ $cur == -* ]]; then
        words=$options files=
    fi
    local list=
    [[ $cur == *,* ]] && {{ list=${{cur%,*}},; cur=${{cur##*,}}; }}
    COMPREPLY=($(compgen -W "$words" -P "$list" -- "$cur"))
    [[ -n $files ]] && COMPREPLY+=($(compgen $files -- "$cur"))
    return 0
}}
complete -F {1} {0}
)",
                       program, function, arms, values);
}

std::string fish_script(const std::string& program, const std::vector<CompletionVerb>& verbs) {
    std::string text =
        fmt::format("# fish completion for {0}: {0} completion fish | source\n", program);
    const auto line = [&](const std::string& condition, const std::string& rest) {
        text += fmt::format("complete -c {} -f -n {} {}\n", program, shell_word(condition), rest);
    };
    for (const CompletionVerb& verb : verbs) {
        std::string inside;
        for (const std::string& word : verb.path) {
            inside += fmt::format("{}__fish_seen_subcommand_from {}",
                                  inside.empty() ? "" : "; and ", word);
        }
        const std::string none_below =
            verb.verbs.empty()
                ? ""
                : fmt::format("not __fish_seen_subcommand_from {}", fmt::join(verb.verbs, " "));
        for (const CompletionVerb& below : verbs) {
            if (!below.path.empty() &&
                Words(below.path.begin(), below.path.end() - 1) == verb.path) {
                line(inside.empty() ? none_below : inside + "; and " + none_below,
                     fmt::format("-a {} -d {}", below.path.back(), shell_word(below.description)));
            }
        }
        const std::string here = inside.empty() ? "__fish_use_subcommand" : inside;
        if (!verb.words.empty()) {
            line(here,
                 fmt::format("-a {}", shell_word(fmt::format("{}", fmt::join(verb.words, " ")))));
        }
        for (const CompletionVerb::Option& option : verb.options) {
            std::string rest;
            for (const std::string& name : option.names) {
                rest += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
            }
            rest += option.takes_value ? " -r" : "";
            rest += option.takes_file || option.takes_folder ? " -F" : "";
            if (!option.values.empty()) {
                rest += " -a " + shell_word(fmt::format("{}", fmt::join(option.values, " ")));
            }
            line(here, rest.substr(1) + " -d " + shell_word(option.description));
        }
    }
    return text;
}

}  // namespace

std::vector<CompletionVerb> completion_verbs(const CLI::App& app, const Words& ops) {
    std::vector<CompletionVerb> verbs;
    add_verb(verbs, app, {}, ops);
    return verbs;
}

std::string completion_script(std::string_view shell, const std::string& program,
                              const std::vector<CompletionVerb>& verbs) {
    if (shell == "bash") {
        return bash_script(program, verbs);
    }
    if (shell == "zsh") {
        // zsh runs bash's completions.
        return fmt::format("#compdef {}\nautoload -U +X bashcompinit && bashcompinit\n", program) +
               bash_script(program, verbs);
    }
    if (shell == "fish") {
        return fish_script(program, verbs);
    }
    throw InvalidArgument(fmt::format("completion \"{}\": use bash, zsh or fish", shell));
}

}  // namespace opforge::tools
