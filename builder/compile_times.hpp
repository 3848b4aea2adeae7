// How long compiles take: what the cache's manifests recorded, else what the op expects, both
// corrected by what this run has seen. Orders a prewarm, longest first, and tells the time left.
#pragma once

#include <opforge/builder/prewarm.hpp>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace opforge::builder {

class CompileTimes {
public:
    using Duration = std::chrono::microseconds;

    /// A recorded compile. Of several for one program and target the last counts; a program's other
    /// targets stand in for one that has none.
    void record(const PrewarmJob& job, Duration time);
    /// What the op itself says of a program, in milliseconds on no machine in particular.
    void expect(const std::string& op, const std::string& program, int milliseconds);

    [[nodiscard]] Duration estimate(const PrewarmJob& job) const;
    /// This run took `time` for what it estimated as `estimated`.
    void observe(Duration estimated, Duration time);
    /// By how much this run's compiles have taken longer than estimated; 1 before the first.
    [[nodiscard]] double correction() const;

    /// Longest first; equal ones keep their order.
    void sort(std::vector<PrewarmJob>& jobs) const;

private:
    using Program = std::pair<std::string, std::string>;
    std::map<Program, std::map<std::string, Duration>> recorded_;
    std::map<Program, int> expected_;
    Duration estimated_sum_{};
    Duration taken_sum_{};
};

/// From every manifest of the cache's layers and folder; of those that cannot be read, nothing.
void record_from_cache(CompileTimes& times, cache::Cache& cache);

}  // namespace opforge::builder
