// What a command says at its end: the `--json` envelope for machines, text for people.
#pragma once

#include "exit_code.hpp"

#include <nlohmann/json.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::tools {

/// In the order of writing: a person reads it too.
using Json = nlohmann::ordered_json;

struct Problem {
    std::string kind;  // of the error: "InputError"
    std::string message;
    std::string subject = {};  // which of many items; machines get it in front of the message
};

/// What a command hands to main(), which prints it.
struct CommandResult {
    ExitCode code = ExitCode::done;
    std::string text;            // for standard output, without --json
    Json data = Json::object();  // the same, with --json
    std::vector<Problem> problems;
};

/// {"schema":1,"ok":...,"data":{...},"errors":[{"kind":...,"message":...}]} and a newline. Whatever
/// is not UTF-8 in a name or a path is replaced, so that the object always parses.
[[nodiscard]] std::string envelope(const CommandResult& result);
/// The same object as the last event of a stream: {"event":"result","schema":1,...}
[[nodiscard]] std::string result_event(const CommandResult& result);

/// For standard error: those with the same message under one.
[[nodiscard]] std::string format_problems(std::span<const Problem> problems, bool color = false);

/// The text with control characters (a terminal would obey them) spelt out; newlines and tabs stay.
[[nodiscard]] std::string printable(std::string_view text);

/// Rows as lines, columns padded to their widest cell. The first row is the heading; `right` names
/// the columns that hold numbers. Cells are made printable.
[[nodiscard]] std::string format_table(std::span<const std::vector<std::string>> rows,
                                       std::span<const std::size_t> right = {});

/// "412 us", "3.2 ms", "1.50 s"
[[nodiscard]] std::string format_duration(double seconds);

}  // namespace opforge::tools
