#include "help_formatter.hpp"

#include <string_view>
#include <utility>

namespace opforge::tools {
namespace {

// Examples are written for `opforge`; a program of a user's has another name.
std::string with_program_name(const std::string& examples, const CLI::App& app) {
    constexpr std::string_view kOurs = "  opforge ";
    const CLI::App* root = &app;
    while (root->get_parent() != nullptr) {
        root = root->get_parent();
    }
    const std::string theirs = "  " + root->get_name() + " ";
    std::string text = examples;
    for (std::size_t at = text.find(kOurs); at != std::string::npos;
         at = text.find(kOurs, at + theirs.size())) {
        text.replace(at, kOurs.size(), theirs);
    }
    return text;
}

}  // namespace

HelpFormatter::HelpFormatter() {
    column_width(28);
    label("REQUIRED", "(required)");
    label("Positionals", "Arguments");
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode mode) const {
    if (mode == CLI::AppFormatMode::Sub) {
        return make_expanded(app);
    }
    std::string text = app->get_description() + "\n\n";
    if (!app->get_footer().empty()) {
        text += "Examples:\n" + with_program_name(app->get_footer(), *app) + "\n";
    }
    text += make_usage(app, std::move(name));
    text += make_subcommands(app, mode);
    text += make_positionals(app);
    text += options_of(app, false) + options_of(app, true);
    return text;
}

std::string HelpFormatter::options_of(const CLI::App* app, bool common) const {
    std::string text;
    for (const std::string& group : app->get_groups()) {
        const auto options = app->get_options([&group](const CLI::Option* option) {
            return option->get_group() == group && option->nonpositional();
        });
        if (!group.empty() && !options.empty() && (group == kCommonOptions) == common) {
            text += make_group(group, false, options);
        }
    }
    return text;
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
    std::string text = "Usage: " + name;
    if (!app->get_subcommands({}).empty()) {
        text += " <verb>";
    }
    text += " [options]";
    for (const CLI::Option* positional :
         app->get_options([](const CLI::Option* option) { return option->get_positional(); })) {
        text += " " + positional->get_name();
    }
    return text + "\n";
}

}  // namespace opforge::tools
