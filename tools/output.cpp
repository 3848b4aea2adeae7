#include "output.hpp"

#include "color.hpp"

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

// Bytes of the UTF-8 character that `text` begins with; 0 where it begins with none. Refused are
// also overlong forms, surrogates and what lies past U+10FFFF, as by readers of the output.
std::size_t utf8_length(std::string_view text) {
    const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = at(0);
    if (first < 0x80) {
        return 1;
    }
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() < length) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if ((at(i) & 0xC0U) != 0x80U) {
            return 0;
        }
    }
    const unsigned second = at(1);
    const bool refused = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                         (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
    return refused ? 0 : length;
}

// Control characters; U+0080 to U+009F are those of the upper half, which terminals obey as well.
bool commands_terminal(std::string_view character) {
    const auto first = static_cast<unsigned char>(character.front());
    if (character.size() == 1) {
        return (first < 0x20 && first != '\n' && first != '\t') || first == 0x7F;
    }
    return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
}

std::string with_subject(const Problem& problem) {
    return problem.subject.empty() ? problem.message : problem.subject + ": " + problem.message;
}

Json envelope_json(Json object, const CommandResult& result) {
    Json errors = Json::array();
    for (const Problem& problem : result.problems) {
        errors.push_back({{"kind", problem.kind}, {"message", with_subject(problem)}});
    }
    object["schema"] = 1;
    object["ok"] = result.code == ExitCode::done;
    object["data"] = result.data;
    object["errors"] = std::move(errors);
    return object;
}

std::string to_line(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string envelope(const CommandResult& result) {
    return to_line(envelope_json(Json::object(), result));
}

std::string result_event(const CommandResult& result) {
    return to_line(envelope_json({{"event", "result"}}, result));
}

std::string format_problems(std::span<const Problem> problems, bool color) {
    const std::string prefix = paint("opforge:", Style::bad, color);
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
            text += fmt::format("{} {}\n", prefix, printable(with_subject(*group.front())));
            continue;
        }
        text += fmt::format("{} {}\n", prefix, printable(group.front()->message));
        for (const Problem* problem : group) {
            text += fmt::format("    {}\n", printable(problem->subject));
        }
    }
    return text;
}

std::string printable(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const std::string_view character = text.substr(0, std::max<std::size_t>(length, 1));
        if (length == 0 || commands_terminal(character)) {
            for (const char each : character) {
                result += fmt::format("\\x{:02x}", static_cast<unsigned char>(each));
            }
        } else {
            result += character;
        }
        text.remove_prefix(character.size());
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
