#include "prewarm_report.hpp"

#include <opforge/base/bytes.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace opforge::tools {
namespace {

using builder::PrewarmItem;

/// Failures with one cause.
struct Group {
    std::string cause;  // the message without the program's name, and what else tells groups apart
    const PrewarmItem* first;
    std::size_t count = 1;
};

std::string cause_of(const PrewarmItem& item) {
    std::string text = item.outcome.error;
    for (std::size_t at = text.find(item.job.program); at != std::string::npos;
         at = text.find(item.job.program, at + 1)) {
        text.replace(at, item.job.program.size(), 1, '*');
    }
    return fmt::format("{}/{}/{}: {}", item.job.op, item.job.target.name(), item.outcome.error_kind,
                       text);
}

std::size_t place_in(std::vector<Group>& groups, const PrewarmItem& item) {
    std::string cause = cause_of(item);
    const auto found = std::find_if(groups.begin(), groups.end(),
                                    [&](const Group& group) { return group.cause == cause; });
    if (found != groups.end()) {
        ++found->count;
        return static_cast<std::size_t>(found - groups.begin());
    }
    groups.push_back({std::move(cause), &item});
    return groups.size() - 1;
}

Problem problem_of(const Group& group) {
    const builder::PrewarmJob& job = group.first->job;
    const std::string more = group.count > 1 ? fmt::format(" and {} more", group.count - 1) : "";
    return {group.first->outcome.error_kind, group.first->outcome.error,
            fmt::format("{}/{}{} for {}", job.op, job.program, more, job.target.name())};
}

}  // namespace

CommandResult prewarm_report(const builder::PrewarmResult& prewarmed, double seconds) {
    CommandResult result;
    std::uint64_t compiled = 0;
    std::uint64_t hits = 0;
    std::uint64_t size_bytes = 0;
    Json entries = Json::array();
    Json failures = Json::array();
    std::vector<std::string> kinds;
    std::vector<Group> groups;
    for (const PrewarmItem& item : prewarmed.items) {
        const auto& [job, outcome] = item;
        Json json = {{"op", job.op}, {"program", job.program}, {"target", job.target.name()}};
        if (!outcome.error.empty()) {
            kinds.push_back(outcome.error_kind);
            json["kind"] = outcome.error_kind;
            json["error"] = place_in(groups, item);
            failures.push_back(std::move(json));
            continue;
        }
        ++(outcome.compiled ? compiled : hits);
        size_bytes += outcome.size_bytes;
        json["path"] = outcome.directory.string();
        json["bytes"] = outcome.size_bytes;
        json["compiled"] = outcome.compiled;
        json["seconds"] = std::chrono::duration<double>(outcome.time).count();
        entries.push_back(std::move(json));
    }
    for (const Group& group : groups) {
        result.problems.push_back(problem_of(group));
    }
    result.code = exit_code_of_items(kinds);
    result.text =
        fmt::format("{} compiled, {} already there, {} failed; {} in {}\n", compiled, hits,
                    failures.size(), format_size(size_bytes), format_duration(seconds));
    result.data = {{"compiled", compiled},          {"hits", hits},
                   {"failed", failures.size()},     {"unfinished", prewarmed.unfinished},
                   {"workers", prewarmed.workers},  {"seconds", seconds},
                   {"entries", std::move(entries)}, {"failures", std::move(failures)}};
    return result;
}

void add_interruption(CommandResult& report, const builder::PrewarmResult& result, ExitCode code,
                      const std::string& root, const std::string& resume) {
    report.code = code;
    report.data["resume"] = resume;
    report.problems.push_back(
        {"Interrupted",
         fmt::format("prewarm: interrupted; {} of {} are done and kept{}; to go on: {}",
                     result.items.size(), result.items.size() + result.unfinished,
                     root.empty() ? "" : " in " + root, resume)});
}

}  // namespace opforge::tools
