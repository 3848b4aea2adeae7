// What a prewarm is to do, and with how many workers.
#include "prewarm_workers.hpp"

#include <opforge/base/environment.hpp>
#include <opforge/base/error.hpp>
#include <opforge/builder/prewarm.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace opforge::builder {
namespace {

// "quantizer/dequantize_fp16" -> its two parts; the second is empty for a whole op.
std::pair<std::string, std::string> split_name(const std::string& name) {
    const std::size_t slash = name.find('/');
    return slash == std::string::npos ? std::pair(name, std::string())
                                      : std::pair(name.substr(0, slash), name.substr(slash + 1));
}

std::vector<ProgramSpec> programs_named(const OpBuilder& builder, const std::string& name,
                                        const std::string& program) {
    if (name.find('/') == std::string::npos) {
        return builder.programs();
    }
    auto found = builder.program(program);
    if (!found) {
        throw InvalidArgument(fmt::format("prewarm {}: op {} has no program \"{}\"; the verb "
                                          "report --json lists them",
                                          name, builder.name(), program));
    }
    return {*std::move(found)};
}

}  // namespace

std::vector<PrewarmJob> prewarm_jobs(const OpCatalog& catalog, const BuilderContext& context,
                                     const std::vector<std::string>& ops,
                                     const std::vector<Target>& targets) {
    std::vector<PrewarmJob> jobs;
    std::set<std::pair<std::string, std::string>> seen;
    for (const std::string& name : ops.empty() ? catalog.names() : ops) {
        const auto [op, program] = split_name(name);
        const auto builder = catalog.make(op, context);
        for (const Target& asked : targets) {
            for (const ProgramSpec& spec : programs_named(*builder, name, program)) {
                const Target target = lower(asked, spec.wants);
                if (seen.emplace(op + "/" + spec.name, target.name()).second) {
                    jobs.push_back({op, spec.name, target});
                }
            }
        }
    }
    return jobs;
}

int prewarm_workers() {
    for (const char* name : {"OPFORGE_JOBS", "MAX_JOBS"}) {
        const auto text = environment(name);
        if (!text) {
            continue;
        }
        int count = 0;
        const char* const end = text->data() + text->size();
        const auto [after, error] = std::from_chars(text->data(), end, count);
        if (error != std::errc{} || after != end || count < 1) {
            throw InvalidArgument(
                fmt::format("{}={}: a number of worker processes, from 1, is wanted", name, *text));
        }
        return count;
    }
    return workers_within(machine_limits());
}

int workers_within(const MachineLimits& limits) noexcept {
    // NVRTC 13 takes 100 MB for the largest of the quantizer's programs, less what it shares with
    // its siblings; templates of users take more.
    constexpr std::uint64_t kBytesEach = std::uint64_t{256} << 20U;
    const auto processors = static_cast<std::uint64_t>(std::max(limits.processors, 1));
    const std::uint64_t fitting =
        limits.memory_bytes ? *limits.memory_bytes / kBytesEach : processors;
    return static_cast<int>(std::clamp<std::uint64_t>(fitting, 1, processors));
}

}  // namespace opforge::builder
