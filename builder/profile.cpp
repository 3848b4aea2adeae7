#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/base/log_sink.hpp>
#include <opforge/builder/profile.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <unistd.h>

namespace opforge::builder {
namespace {

constexpr int kSchema = 1;

// One write: with O_APPEND, lines of several writers then never mix on a local file system.
void append(const std::string& path, const std::string& line) {
    const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    int error = file < 0 ? errno : 0;
    if (file >= 0) {
        ssize_t written = -1;
        do {
            written = ::write(file, line.data(), line.size());
        } while (written < 0 && errno == EINTR);
        error = written == static_cast<ssize_t>(line.size()) ? 0 : written < 0 ? errno : ENOSPC;
        ::close(file);
    }
    static std::atomic_flag warned;
    if (error != 0 && !warned.test_and_set()) {
        log(LogLevel::warning,
            fmt::format("OPFORGE_PROFILE: what is asked for is not recorded: write {}: {}", path,
                        std::generic_category().message(error)));
    }
}

PrewarmJob parse_line(std::string_view line, std::size_t number) {
    try {
        const auto json = nlohmann::json::parse(line);
        if (const int schema = json.at("schema").get<int>(); schema != kSchema) {
            throw InvalidArgument(
                fmt::format("its schema is {}, this opforge reads {}", schema, kSchema));
        }
        return {json.at("op").get<std::string>(), json.at("program").get<std::string>(),
                parse_target(json.at("target").get<std::string>())};
    } catch (const nlohmann::json::exception& error) {
        throw InvalidArgument(fmt::format("profile, line {}: {}", number, error.what()));
    } catch (const InvalidArgument& error) {
        throw InvalidArgument(fmt::format("profile, line {}: {}", number, error.what()));
    }
}

void add_once(std::vector<PrewarmJob>& jobs, PrewarmJob job) {
    if (std::find(jobs.begin(), jobs.end(), job) == jobs.end()) {
        jobs.push_back(std::move(job));
    }
}

}  // namespace

void note_in_profile(const PrewarmJob& asked) noexcept {
    try {
        if (const auto path = environment("OPFORGE_PROFILE")) {
            const nlohmann::json line = {{"schema", kSchema},
                                         {"op", asked.op},
                                         {"program", asked.program},
                                         {"target", asked.target.name()}};
            append(*path, line.dump() + "\n");
        }
    } catch (const std::exception& error) {
        log(LogLevel::warning, fmt::format("OPFORGE_PROFILE: {}", error.what()));
    }
}

std::vector<PrewarmJob> parse_profile(std::string_view text) {
    std::vector<PrewarmJob> jobs;
    std::size_t number = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        ++number;
        if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
            add_once(jobs, parse_line(line, number));
        }
    }
    return jobs;
}

std::vector<PrewarmJob> profile_jobs(const OpCatalog& catalog, const BuilderContext& context,
                                     const std::vector<PrewarmJob>& profile,
                                     const std::vector<Target>& targets) {
    std::vector<PrewarmJob> jobs;
    for (const PrewarmJob& noted : profile) {
        const std::string name = noted.op + "/" + noted.program;
        for (PrewarmJob& job :
             prewarm_jobs(catalog, context, {name},
                          targets.empty() ? std::vector<Target>{noted.target} : targets)) {
            add_once(jobs, std::move(job));
        }
    }
    return jobs;
}

}  // namespace opforge::builder
