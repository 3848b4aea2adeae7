#include "output.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace opforge::tools {
namespace {

// Code points, near enough to columns for the names that tensors have.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char each) {
        return (static_cast<unsigned char>(each) & 0xC0U) != 0x80U;
    }));
}

std::string with_subject(const Problem& problem) {
    return problem.subject.empty() ? problem.message : problem.subject + ": " + problem.message;
}

}  // namespace

std::string envelope(const CommandResult& result) {
    Json errors = Json::array();
    for (const Problem& problem : result.problems) {
        errors.push_back({{"kind", problem.kind}, {"message", with_subject(problem)}});
    }
    Json object;
    object["schema"] = 1;
    object["ok"] = result.code == ExitCode::done;
    object["data"] = result.data;
    object["errors"] = std::move(errors);
    return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string format_problems(std::span<const Problem> problems) {
    std::vector<std::vector<const Problem*>> groups;
    for (const Problem& problem : problems) {
        const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
            return group.front()->message == problem.message && !problem.subject.empty();
        });
        if (same == groups.end()) {
            groups.push_back({&problem});
        } else {
            same->push_back(&problem);
        }
    }
    std::string text;
    for (const auto& group : groups) {
        if (group.size() == 1) {
            text += fmt::format("opforge: {}\n", printable(with_subject(*group.front())));
            continue;
        }
        text += fmt::format("opforge: {}\n", printable(group.front()->message));
        for (const Problem* problem : group) {
            text += fmt::format("    {}\n", printable(problem->subject));
        }
    }
    return text;
}

std::string printable(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (const char each : text) {
        const auto code = static_cast<unsigned char>(each);
        if ((code < 0x20 && each != '\n' && each != '\t') || code == 0x7F) {
            result += fmt::format("\\x{:02x}", code);
        } else {
            result.push_back(each);
        }
    }
    return result;
}

std::string format_table(std::span<const std::vector<std::string>> rows,
                         std::span<const std::size_t> right) {
    std::vector<std::vector<std::string>> cells;
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        auto& line = cells.emplace_back();
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) {
            line.push_back(printable(row[i]));
            widths[i] = std::max(widths[i], width_of(line.back()));
        }
    }
    std::string text;
    for (const auto& row : cells) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string padding(widths[i] - width_of(row[i]), ' ');
            const bool is_right = std::find(right.begin(), right.end(), i) != right.end();
            line += (i == 0 ? "" : "  ") + (is_right ? padding + row[i] : row[i] + padding);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

std::string format_duration(double seconds) {
    if (seconds < 1e-3) {
        return fmt::format("{:.0f} us", seconds * 1e6);
    }
    if (seconds < 1.0) {
        return fmt::format("{:.1f} ms", seconds * 1e3);
    }
    return fmt::format("{:.2f} s", seconds);
}

}  // namespace opforge::tools
