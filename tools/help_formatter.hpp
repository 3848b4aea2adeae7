// The layout of `--help`: what it does, examples, then the options.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace opforge::tools {

/// The group of options that every verb has; it stands last.
inline constexpr const char* kCommonOptions = "Options of every verb";

/// An app's footer holds its examples, and is printed above its options.
class HelpFormatter final : public CLI::Formatter {
public:
    HelpFormatter();
    std::string make_help(const CLI::App* app, std::string name,
                          CLI::AppFormatMode mode) const override;
    std::string make_usage(const CLI::App* app, std::string name) const override;

private:
    /// The groups of an app's own options, or the one that every verb has.
    [[nodiscard]] std::string options_of(const CLI::App* app, bool common) const;
};

}  // namespace opforge::tools
