#include "prewarm_protocol.hpp"

#include <opforge/base/error.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace opforge::builder {
namespace {

using Json = nlohmann::json;

std::string to_text(const Json& json) {
    // A path or a compiler's log need not be UTF-8.
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

template <class Result, class Read>
Result parse(std::string_view line, Read read) {
    try {
        return read(Json::parse(line));
    } catch (const Json::exception& error) {
        throw InvalidArgument(
            fmt::format("read a prewarm worker's line `{}`: {}", line, error.what()));
    }
}

}  // namespace

std::string to_line(const WorkerSetup& setup) {
    return to_text(
        {{"cache_root", setup.cache_root},
         {"max_bytes", setup.limits.max_bytes},
         {"max_entries", setup.limits.max_entries},
         {"policy", setup.policy ? Json(cache::to_string(*setup.policy)) : Json(nullptr)},
         {"log_level", static_cast<int>(setup.log_level)},
         {"keep_directory", setup.keep_directory ? Json(*setup.keep_directory) : Json(nullptr)}});
}

std::string to_line(const PrewarmJob& job) {
    return to_text({{"op", job.op}, {"program", job.program}, {"target", job.target.name()}});
}

std::string to_line(const WorkerMessage& message) {
    return to_text({{"log", message.text}, {"level", static_cast<int>(message.level)}});
}

std::string to_line(const BuildOutcome& outcome) {
    return to_text({{"program", outcome.program},
                    {"target", outcome.target.name()},
                    {"compiled", outcome.compiled},
                    {"directory", outcome.directory.string()},
                    {"bytes", outcome.size_bytes},
                    {"microseconds", outcome.time.count()},
                    {"error", outcome.error},
                    {"error_kind", outcome.error_kind}});
}

WorkerSetup parse_setup(std::string_view line) {
    return parse<WorkerSetup>(line, [](const Json& json) {
        WorkerSetup setup;
        setup.cache_root = json.at("cache_root").get<std::string>();
        setup.limits.max_bytes = json.at("max_bytes").get<std::uint64_t>();
        setup.limits.max_entries = json.at("max_entries").get<std::uint64_t>();
        if (const Json& policy = json.at("policy"); !policy.is_null()) {
            setup.policy = cache::parse_policy(policy.get<std::string>());
        }
        setup.log_level = static_cast<LogLevel>(json.at("log_level").get<int>());
        if (const Json& keep = json.at("keep_directory"); !keep.is_null()) {
            setup.keep_directory = keep.get<std::string>();
        }
        return setup;
    });
}

PrewarmJob parse_job(std::string_view line) {
    return parse<PrewarmJob>(line, [](const Json& json) {
        return PrewarmJob{json.at("op").get<std::string>(), json.at("program").get<std::string>(),
                          parse_target(json.at("target").get<std::string>())};
    });
}

std::variant<WorkerMessage, BuildOutcome> parse_answer(std::string_view line) {
    using Answer = std::variant<WorkerMessage, BuildOutcome>;
    return parse<Answer>(line, [](const Json& json) -> Answer {
        if (json.contains("log")) {
            return WorkerMessage{static_cast<LogLevel>(json.at("level").get<int>()),
                                 json.at("log").get<std::string>()};
        }
        BuildOutcome outcome;
        outcome.program = json.at("program").get<std::string>();
        outcome.target = parse_target(json.at("target").get<std::string>());
        outcome.compiled = json.at("compiled").get<bool>();
        outcome.directory = json.at("directory").get<std::string>();
        outcome.size_bytes = json.at("bytes").get<std::uint64_t>();
        outcome.time = std::chrono::microseconds(json.at("microseconds").get<std::int64_t>());
        outcome.error = json.at("error").get<std::string>();
        outcome.error_kind = json.at("error_kind").get<std::string>();
        return outcome;
    });
}

}  // namespace opforge::builder
