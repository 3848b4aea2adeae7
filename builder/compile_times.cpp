#include "compile_times.hpp"

#include <opforge/base/error.hpp>
#include <opforge/cache/layer_contents.hpp>

#include <algorithm>
#include <filesystem>

namespace opforge::builder {
namespace {

// A program that nobody knows anything of: in the middle of what kernels take.
constexpr int kUnknownMilliseconds = 100;

void record_from(CompileTimes& times, const std::vector<cache::Listed>& entries) {
    for (const cache::Listed& entry : entries) {
        if (!entry.manifest) {
            continue;
        }
        const cache::Manifest& manifest = *entry.manifest;
        try {
            times.record({manifest.request.op, manifest.request.program,
                          parse_target(manifest.request.target)},
                         std::chrono::microseconds(manifest.compile_microseconds));
        } catch (const InvalidArgument&) {
            // A newer opforge's target.
        }
    }
}

}  // namespace

void CompileTimes::record(const PrewarmJob& job, Duration time) {
    recorded_[{job.op, job.program}][job.target.name()] = time;
}

void CompileTimes::expect(const std::string& op, const std::string& program, int milliseconds) {
    expected_[{op, program}] = milliseconds;
}

CompileTimes::Duration CompileTimes::estimate(const PrewarmJob& job) const {
    const Program program{job.op, job.program};
    if (const auto found = recorded_.find(program); found != recorded_.end()) {
        const auto& by_target = found->second;
        const auto same = by_target.find(job.target.name());
        if (same != by_target.end()) {
            return same->second;
        }
        return std::max_element(
                   by_target.begin(), by_target.end(),
                   [](const auto& one, const auto& other) { return one.second < other.second; })
            ->second;
    }
    const auto expected = expected_.find(program);
    return std::chrono::milliseconds(expected != expected_.end() && expected->second > 0
                                         ? expected->second
                                         : kUnknownMilliseconds);
}

void CompileTimes::observe(Duration estimated, Duration time) {
    estimated_sum_ += estimated;
    taken_sum_ += time;
}

double CompileTimes::correction() const {
    return estimated_sum_.count() > 0 ? static_cast<double>(taken_sum_.count()) /
                                            static_cast<double>(estimated_sum_.count())
                                      : 1.0;
}

void CompileTimes::sort(std::vector<PrewarmJob>& jobs) const {
    std::vector<std::pair<Duration, PrewarmJob>> timed;
    timed.reserve(jobs.size());
    for (PrewarmJob& job : jobs) {
        const Duration time = estimate(job);
        timed.emplace_back(time, std::move(job));
    }
    std::stable_sort(timed.begin(), timed.end(),
                     [](const auto& one, const auto& other) { return one.first > other.first; });
    jobs.clear();
    for (auto& [time, job] : timed) {
        jobs.push_back(std::move(job));
    }
}

void record_from_cache(CompileTimes& times, cache::Cache& cache) {
    for (const cache::LayerSpec& layer : cache.layers()) {
        record_from(times, cache::look_into(layer, false).entries);
    }
    std::error_code ignored;
    if (cache.directory() == nullptr || !std::filesystem::exists(cache.root().path, ignored)) {
        return;
    }
    try {
        record_from(times, cache.directory()->list(false));
    } catch (const Error&) {
        // A cache that cannot be read only makes a worse order.
    }
}

}  // namespace opforge::builder
