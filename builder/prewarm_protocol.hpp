// What a prewarm and its worker processes say to each other: one JSON object a line, over the
// socket that is the worker's standard input. Private to one version of opforge: both ends are.
//   to the worker    first its setup, then one job at a time
//   from the worker  messages of its log; then the job's outcome
#pragma once

#include <opforge/base/log_sink.hpp>
#include <opforge/builder/prewarm.hpp>
#include <opforge/cache/limits.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace opforge::builder {

struct WorkerSetup {
    std::string cache_root;
    cache::Limits limits;
    std::optional<cache::Policy> policy;
    LogLevel log_level = LogLevel::warning;
    std::optional<std::string> keep_directory = std::nullopt;
};

struct WorkerMessage {
    LogLevel level = LogLevel::warning;
    std::string text;
};

[[nodiscard]] std::string to_line(const WorkerSetup& setup);
[[nodiscard]] std::string to_line(const PrewarmJob& job);
[[nodiscard]] std::string to_line(const WorkerMessage& message);
[[nodiscard]] std::string to_line(const BuildOutcome& outcome);

/// Each: @throws InvalidArgument where the line is not what the other end writes.
[[nodiscard]] WorkerSetup parse_setup(std::string_view line);
[[nodiscard]] PrewarmJob parse_job(std::string_view line);
[[nodiscard]] std::variant<WorkerMessage, BuildOutcome> parse_answer(std::string_view line);

}  // namespace opforge::builder
