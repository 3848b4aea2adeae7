// What a process does to a cache directory, one operation after another, and what must hold of the
// directory and of the process whatever became of it.
#pragma once

#include "suite_record.hpp"
#include "traced_process.hpp"

#include <opforge/cache/cache.hpp>

#include "support/temporary_directory.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace opforge::test {

/// What the worker says of itself when its operation is over.
struct WorkerReport {
    bool served = false;  // it got an entry, or the operation needs none
    bool right = false;   // the bytes are what a compile gives
    std::vector<std::string> warnings;
    std::string error;  // a typed error's text, where the operation may end so
    cache::Counters counters;
};
[[nodiscard]] std::string to_text(const WorkerReport& report);
/// nullopt for what is no report: the worker died, or threw what nobody expects.
[[nodiscard]] std::optional<WorkerReport> report_of(const std::string& text);

struct Operation {
    std::string name;
    /// Before the worker starts. The root does not exist yet.
    std::function<void(const std::filesystem::path& root)> prepare;
    std::function<void(const std::filesystem::path& root, WorkerReport& report)> work;
    /// True: whatever the disk does, the caller gets its kernel. False: a CacheError is an answer.
    bool serves = true;
    /// A bad entry was there before: it may still be, unserved.
    bool starts_bad = false;
    /// An entry of sample_request() was acknowledged before, and must be there whatever happens.
    bool keeps_entry = false;
};
[[nodiscard]] const std::vector<Operation>& operations();

/// A directory with the operation's root in it and, beside the root, what nobody may touch.
class Scene {
public:
    explicit Scene(const Operation& operation);
    [[nodiscard]] std::filesystem::path root() const {
        return directory_.path() / "cache" / "root";
    }
    [[nodiscard]] TracedRun run(const Injection& injection = {}) const;

    /// I1, I4, I5 (staging folders, locks) and I6: the directory as the next process finds it.
    void check_directory(SuiteRecord& record, const std::string& where) const;
    /// I2, I3, I5 (descriptors, threads): a worker that was not killed.
    void check_worker(const TracedRun& run, SuiteRecord& record, const std::string& where) const;

private:
    const Operation& operation_;
    TemporaryDirectory directory_{fastest_parent()};
};

}  // namespace opforge::test
