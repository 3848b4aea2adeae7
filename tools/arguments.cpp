#include "arguments.hpp"

#include "help_formatter.hpp"
#include "suggestion.hpp"
#include "version.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>

namespace opforge::tools {
namespace {

constexpr const char* kDescription =
    "opforge: CUDA kernels compiled at run time, cached and run. No nvcc, no build step.";

constexpr const char* kExamples =
    "  opforge demo                          see it work, with or without a GPU\n"
    "  opforge report                        what this machine has, and what is missing\n"
    "  opforge quantize model.safetensors --group-size 64 --bits 4\n"
    "                                        what 4 bits would cost each tensor of a model\n"
    "  opforge prewarm --arch sm_90          compile ahead, for machines without NVRTC\n"
    "  opforge explain quantizer             what of it is cached, and why not the rest\n"
    "  opforge cache verify                  check every cached kernel\n";

void add_common_options(CLI::App& app, Session& session) {
    app.set_help_flag("-h,--help", "This text")->group(kCommonOptions);
    app.add_flag("--json", session.json, "One JSON object on standard output, nothing else there")
        ->group(kCommonOptions);
    app.add_option("--cache-dir", session.cache_dir,
                   "Cache folder (else OPFORGE_CACHE_DIR, XDG_CACHE_HOME, HOME)")
        ->option_text("DIR")
        ->check(is_value)
        ->group(kCommonOptions);
    app.add_option("--log-level", session.log_level,
                   "trace, debug, info, warning, error, off (else OPFORGE_LOG_LEVEL; warning)")
        ->option_text("LEVEL")
        ->check(is_value)
        ->group(kCommonOptions);
    app.add_option("--color", session.color,
                   "auto, always, never (auto: NO_COLOR, CLICOLOR_FORCE, then as the terminal is)")
        ->option_text("WHEN")
        ->check(CLI::IsMember({"auto", "always", "never"}))
        ->group(kCommonOptions);
}

CommandResult version_result() {
    const BuildVersion build = build_version();
    CommandResult result;
    result.text = version_line(build);
    result.data = {{"version", build.version},
                   {"build_type", build.build_type},
                   {"compiler", build.compiler},
                   {"cuda_headers", build.cuda_headers}};
    return result;
}

// The verb that the parse had reached: its options and verbs are those a typing error was meant
// for.
const CLI::App& innermost(const CLI::App& app) {
    const auto chosen = app.get_subcommands();
    return chosen.empty() ? app : innermost(*chosen.front());
}

std::string full_name(const CLI::App& app) {
    return app.get_parent() == nullptr ? app.get_name()
                                       : full_name(*app.get_parent()) + " " + app.get_name();
}

std::vector<std::string> verbs_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* verb : app.get_subcommands({})) {
        names.push_back(verb->get_name());
    }
    return names;
}

std::vector<std::string> options_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            if (!option->get_group().empty()) {
                names.push_back("--" + name);
            }
        }
    }
    return names;
}

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& known) {
    const auto nearest = nearest_word(typed, known);
    return nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : std::string();
}

std::string explain(const CLI::App& app, const CLI::ParseError& error) {
    // CLI11 speaks of the missing before the superfluous: of a typing error, it would name the
    // symptom.
    for (const std::string& word : app.remaining(true)) {
        if (word.size() > 1 && word.front() == '-') {
            const std::string name = word.substr(0, word.find('='));
            return fmt::format("unknown option \"{}\"{}", name,
                               did_you_mean(name, options_of(app)));
        }
        if (!app.get_subcommands({}).empty()) {
            return fmt::format("unknown verb \"{}\"{}", word, did_you_mean(word, verbs_of(app)));
        }
        return fmt::format("unexpected argument \"{}\"", word);
    }
    if (!app.get_subcommands({}).empty() && dynamic_cast<const CLI::RequiredError*>(&error)) {
        return fmt::format("a verb is missing: {}", fmt::join(verbs_of(app), ", "));
    }
    return error.what();
}

}  // namespace

CLI::App& add_verb(CLI::App& parent, Session& session, const VerbText& text) {
    CLI::App& verb = *parent.add_subcommand(text.name, text.description);
    verb.footer(text.examples);
    verb.group("Verbs");
    add_common_options(verb, session);
    return verb;
}

std::optional<CommandResult> parse_arguments(int count, const char* const* values,
                                             Session& session) {
    const std::span<const char* const> words(values, static_cast<std::size_t>(count));
    session.command_line.assign(words.begin(), words.end());
    if (!words.empty()) {
        session.program = std::filesystem::path(words.front()).filename().string();
    }
    CLI::App app(kDescription, session.program);
    app.formatter(std::make_shared<HelpFormatter>());
    app.footer(kExamples);
    app.require_subcommand(1);
    add_common_options(app, session);
    app.set_version_flag("--version", std::string(), "Version, build type, compiler, CUDA headers");
    add_demo(app, session);
    add_quantize(app, session);
    add_prewarm(app, session);
    add_record(app, session);
    add_explain(app, session);
    add_report(app, session);
    add_cache(app, session);
    add_completion(app, session);

    try {
        app.parse(count, values);
        return std::nullopt;
    } catch (const CLI::ParseError& error) {
        // A parse that fails has not set what came after the failure.
        const auto has = [&words](std::string_view option) {
            return std::find(words.begin(), words.end(), option) != words.end();
        };
        session.json = has("--json");
        session.json_stream = has("--json-stream");
        if (error.get_name() == "CallForVersion") {
            return version_result();
        }
        CommandResult result;
        if (error.get_exit_code() == 0) {
            result.text = app.help();
            result.data["help"] = result.text;
            return result;
        }
        const CLI::App& verb = innermost(app);
        result.code = ExitCode::usage;
        result.problems.push_back(
            {"UsageError",
             fmt::format("{}\nTry \"{} --help\".", explain(verb, error), full_name(verb))});
        return result;
    }
}

}  // namespace opforge::tools
