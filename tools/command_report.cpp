// `opforge report`: everything one asks of a machine where something does not work, as ds_report
// does, and what to do about it.
#include "color.hpp"
#include "report.hpp"
#include "session.hpp"
#include "version.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "report", "What this machine has: driver, GPUs, NVRTC, cache, ops; and what is wrong with it",
    "  opforge report                for people; also says what to do\n"
    "  opforge report --json         for a bug report or a health check: exit code 1 if a check "
    "fails\n"};

Style style_of(Verdict verdict) {
    switch (verdict) {
    case Verdict::ok:
        return Style::good;
    case Verdict::note:
        return Style::plain;
    case Verdict::warning:
        return Style::warning;
    case Verdict::failed:
        break;
    }
    return Style::bad;
}

std::string check_text(const Check& check, bool color) {
    const std::string word = fmt::format("{:7}", to_string(check.verdict));
    std::string text =
        fmt::format("check    {} {}: {}\n", paint(word, style_of(check.verdict), color),
                    printable(check.id), printable(check.finding));
    if (!check.remedy.empty()) {
        text += fmt::format("         to do: {}\n", printable(check.remedy));
    }
    return text;
}

CommandResult report(const Session& session) {
    CommandResult result;
    const BuildVersion build = build_version();
    result.text = version_line(build);
    result.data["version"] = build.version;
    const builder::BuilderContext context = session.builder_context();
    const FoundDevices found = find_devices();
    std::vector<Check> checks;
    const auto add = [&](const char* name, Section section) {
        result.text += printable(section.text);
        result.data[name] = std::move(section.data);
        std::move(section.checks.begin(), section.checks.end(), std::back_inserter(checks));
    };
    add("driver", driver_section());
    add("devices", device_section(found));
    add("nvrtc", nvrtc_section(!found.devices.empty()));
    add("cache", cache_section(*context.cache));
    add("ops", op_section(*session.catalog, context, found.devices));
    add("environment", environment_section());
    result.data["checks"] = Json::array();
    for (const Check& check : checks) {
        result.text += check_text(check, session.color_output());
        result.data["checks"].push_back({{"id", check.id},
                                         {"verdict", to_string(check.verdict)},
                                         {"finding", check.finding},
                                         {"remedy", check.remedy}});
        if (check.verdict == Verdict::failed) {
            result.code = ExitCode::check_failed;
            result.problems.push_back(
                {"CheckFailed",
                 check.remedy.empty() ? check.finding : check.finding + "; to do: " + check.remedy,
                 check.id});
        }
    }
    return result;
}

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
    constexpr std::array<std::string_view, 4> kWords = {"ok", "note", "warning", "failed"};
    return kWords.at(static_cast<std::size_t>(verdict));
}

void add_report(CLI::App& app, Session& session) {
    add_verb(app, session, kText).callback([&session] {
        session.action = [&session] { return report(session); };
    });
}

}  // namespace opforge::tools
