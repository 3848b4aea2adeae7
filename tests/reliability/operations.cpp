#include "operations.hpp"

#include <opforge/cache/errors.hpp>
#include <opforge/cache/seal.hpp>

#include "support/cache_samples.hpp"
#include "support/log_capture.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <optional>

namespace opforge::test {
namespace {

namespace fs = std::filesystem;
using namespace cache;

// Longer than any run of a sound cache takes; a lock that outlives its holder costs far more.
constexpr std::chrono::seconds kPatience{5};
constexpr const char* kPrecious = "precious";

Built build() {
    return sample_built();
}
// What a forced rebuild makes: of the same key, other bytes.
Built build_anew() {
    return sample_built(sample_request(), sample_toolchain(), 300);
}
bool is_right(const Bytes& artifact) {
    return artifact == build().artifact || artifact == build_anew().artifact;
}

void publish_sample(const fs::path& root, const Request& request = sample_request()) {
    const Built built = sample_built(request);
    DirectoryStore(root).publish(built.manifest, built.artifact);
}

void take(WorkerReport& report, const Result& result) {
    report.served = result.entry != nullptr;
    report.right = result.entry != nullptr && is_right(result.entry->artifact);
}

void find_or_build(const fs::path& root, WorkerReport& report) {
    Cache cache({root, false});
    take(report, cache.find_or_build(sample_lookup(), build));
    report.counters = cache.counters();
}

std::vector<Operation> make_operations() {
    std::vector<Operation> all;
    all.push_back({"first publish", [](const fs::path&) {}, find_or_build, true, false, false});
    all.push_back({"publish",
                   [](const fs::path& root) { publish_sample(root, sample_request("other")); },
                   find_or_build, true, false, false});
    all.push_back({"publish again", [](const fs::path& root) { publish_sample(root); },
                   [](const fs::path& root, WorkerReport& report) {
                       const Built built = build_anew();
                       DirectoryStore(root).publish(built.manifest, built.artifact);
                       report.served = report.right = true;
                   },
                   false, false, true});
    all.push_back({"replace", [](const fs::path& root) { publish_sample(root); },
                   [](const fs::path& root, WorkerReport& report) {
                       Cache cache({root, false});
                       take(report, cache.rebuild(sample_lookup(), build_anew));
                       report.counters = cache.counters();
                   },
                   true, false, true});
    all.push_back({"hit", [](const fs::path& root) { publish_sample(root); }, find_or_build, true,
                   false, true});
    all.push_back({"hit of any toolchain", [](const fs::path& root) { publish_sample(root); },
                   [](const fs::path& root, WorkerReport& report) {
                       Cache cache({root, false});
                       Lookup lookup = sample_lookup();
                       lookup.policy = Policy::compatible;
                       take(report, cache.find_or_build(lookup, build));
                       report.counters = cache.counters();
                   },
                   true, false, true});
    all.push_back({"quarantine and rebuild",
                   [](const fs::path& root) {
                       publish_sample(root);
                       write_file(entry_directory(root) / "kernels.cubin", std::string(200, 'x'));
                   },
                   find_or_build, true, true, false});
    all.push_back({"quarantine by name", [](const fs::path& root) { publish_sample(root); },
                   [](const fs::path& root, WorkerReport& report) {
                       DirectoryStore(root).quarantine(
                           entry_name(want_digest(sample_request()), sample_toolchain()));
                       report.served = report.right = true;
                   },
                   false, false, false});
    all.push_back({"sweep",
                   [](const fs::path& root) {
                       publish_sample(root);
                       const fs::path old = root / "v1" / "tmp" / "old";
                       fs::create_directory(old);
                       fs::permissions(old, fs::perms(0700));
                       write_file(old / "kernels.cubin", "half");
                       fs::last_write_time(old, fs::file_time_type::clock::now() -
                                                    std::chrono::hours(3));
                   },
                   [](const fs::path& root, WorkerReport& report) {
                       DirectoryStore(root).sweep();
                       report.served = report.right = true;
                   },
                   false, false, true});
    all.push_back({"touch",
                   [](const fs::path& root) {
                       publish_sample(root);
                       fs::last_write_time(entry_directory(root) / "manifest.json",
                                           fs::file_time_type::clock::now() -
                                               std::chrono::hours(2));
                   },
                   find_or_build, true, false, true});
    all.push_back({"evict",
                   [](const fs::path& root) { publish_sample(root, sample_request("other")); },
                   [](const fs::path& root, WorkerReport& report) {
                       CacheOptions options;
                       options.directory = root;
                       options.limits = Limits{0, 1};
                       Cache cache(options);
                       take(report, cache.find_or_build(sample_lookup(), build));
                       report.counters = cache.counters();
                   },
                   true, false, false});
    all.push_back({"prune",
                   [](const fs::path& root) {
                       for (const char* program : {"other", "third"}) {
                           publish_sample(root, sample_request(program));
                       }
                   },
                   [](const fs::path& root, WorkerReport& report) {
                       static_cast<void>(DirectoryStore(root).prune(false, Limits{0, 1}));
                       report.served = report.right = true;
                   },
                   false, false, false});
    all.push_back({"clear",
                   [](const fs::path& root) {
                       for (const char* program : {"bad", "other"}) {
                           publish_sample(root, sample_request(program));
                       }
                       DirectoryStore(root).quarantine(
                           entry_name(want_digest(sample_request("bad")), sample_toolchain()));
                   },
                   [](const fs::path& root, WorkerReport& report) {
                       static_cast<void>(DirectoryStore(root).clear(false));
                       report.served = report.right = true;
                   },
                   false, false, false});
    all.push_back({"seal", [](const fs::path& root) { publish_sample(root); },
                   [](const fs::path& root, WorkerReport& report) {
                       static_cast<void>(seal_directory(root));
                       report.served = report.right = true;
                   },
                   false, false, true});
    return all;
}

// Everything in tmp as if it were of yesterday, so that sweep() may take it.
void age_staging(const fs::path& root) {
    std::error_code ignored;
    const auto yesterday = fs::file_time_type::clock::now() - std::chrono::hours(24);
    for (const auto& entry : fs::directory_iterator(root / "v1" / "tmp", ignored)) {
        fs::last_write_time(entry.path(), yesterday, ignored);
    }
}

std::size_t count_in(const fs::path& folder) {
    std::error_code none;
    fs::directory_iterator iterator(folder, none);
    return none ? 0 : static_cast<std::size_t>(std::distance(iterator, {}));
}

}  // namespace

std::string to_text(const WorkerReport& report) {
    const nlohmann::json json = {{"served", report.served},
                                 {"right", report.right},
                                 {"warnings", report.warnings},
                                 {"error", report.error},
                                 {"compiles", report.counters.compiles},
                                 {"published", report.counters.published},
                                 {"publish_failures", report.counters.publish_failures}};
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<WorkerReport> report_of(const std::string& text) {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) {
        return std::nullopt;
    }
    WorkerReport report;
    report.served = json.at("served").get<bool>();
    report.right = json.at("right").get<bool>();
    report.warnings = json.at("warnings").get<std::vector<std::string>>();
    report.error = json.at("error").get<std::string>();
    report.counters.compiles = json.at("compiles").get<std::uint64_t>();
    report.counters.published = json.at("published").get<std::uint64_t>();
    report.counters.publish_failures = json.at("publish_failures").get<std::uint64_t>();
    return report;
}

const std::vector<Operation>& operations() {
    static const std::vector<Operation> all = make_operations();
    return all;
}

// What a process does only once, as OpenSSL when it reads its settings, is done before the first
// worker is forked: all workers of an operation then make the same calls.
void settle_process() {
    static const bool settled = [] {
        const TemporaryDirectory directory(fastest_parent());
        WorkerReport report;
        find_or_build(directory.path() / "root", report);
        return true;
    }();
    static_cast<void>(settled);
}

Scene::Scene(const Operation& operation) : operation_(operation) {
    const LogCapture quiet;
    settle_process();
    fs::create_directory(directory_.path() / "cache");
    fs::permissions(directory_.path() / "cache", fs::perms(0700));
    write_file(directory_.path() / kPrecious, kPrecious);
    operation.prepare(root());
}

TracedRun Scene::run(const Injection& injection) const {
    TraceOptions options;
    options.injection = injection;
    return run_traced(
        [&] {
            const LogCapture log;
            WorkerReport report;
            try {
                operation_.work(root(), report);
            } catch (const CacheError& error) {
                report.error = error.what();
            }
            report.warnings = log.messages();
            return to_text(report);
        },
        options);
}

void Scene::check_directory(SuiteRecord& record, const std::string& where) const {
    const auto require = [&](bool holds, const std::string& what) {
        if (!holds) {
            record.violation(where + ": " + what);
        }
    };
    const LogCapture quiet;
    // I1
    DirectoryStore store(root());
    std::vector<Listed> listed;
    try {
        listed = store.list(true);
    } catch (const std::exception& error) {
        require(false, std::string("I1, the directory cannot be listed: ") + error.what());
    }
    for (const Listed& one : listed) {
        require(one.manifest || operation_.starts_bad,
                "I1, a broken entry is there: " + one.reason);
    }
    // I4, with the bytes right (I2), and no lock left (I5): nobody else lives, so nobody is waited
    // for.
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t compiles = 0;
    for (const bool first : {true, false}) {
        Cache cache({root(), false});
        const Result result = cache.find_or_build(sample_lookup(), build);
        compiles += cache.counters().compiles;
        require(result.entry && is_right(result.entry->artifact), "I2, the next process gets wrong "
                                                                  "bytes");
        require(cache.counters().publish_failures == 0, "I4, the next process cannot publish");
        require(first || cache.counters().compiles == 0, "I4, the second run compiles again");
    }
    require(compiles <= 1, "I4, more than one compile");
    require(!operation_.keeps_entry || compiles == 0, "I1, the acknowledged entry is gone");
    require(std::chrono::steady_clock::now() - start < kPatience, "I5, a lock is left");
    // I5
    age_staging(root());
    store.sweep();
    require(count_in(root() / "v1" / "tmp") == 0, "I5, staging folders are left after a sweep");
    // I6
    require(count_in(directory_.path()) == 2 && count_in(directory_.path() / "cache") == 1 &&
                read_file(directory_.path() / kPrecious) == kPrecious,
            "I6, something beside the root was touched");
}

void Scene::check_worker(const TracedRun& run, SuiteRecord& record,
                         const std::string& where) const {
    const auto require = [&](bool holds, const std::string& what) {
        if (!holds) {
            record.violation(where + ": " + what);
        }
    };
    require(!run.hung, "I3, it hangs");
    require(run.exit_code == 0,
            "I3, it ended with " + std::to_string(run.exit_code) + ' ' + run.report.substr(0, 200));
    if (run.exit_code != 0) {
        return;
    }
    const auto report = report_of(run.report);
    if (!report) {
        require(false, "I3, it left no report");
        return;
    }
    require(report->error.empty() || !operation_.serves, "I3, the op failed: " + report->error);
    require(report->right || !report->error.empty(), "I2, wrong bytes were served");
    const Counters& counters = report->counters;
    require(report->warnings.size() <= 1, "more than one warning");
    require(counters.published + counters.publish_failures == counters.compiles,
            "a compile is neither counted as kept nor as not kept");
    require(counters.publish_failures == 0 || report->warnings.size() == 1,
            "what could not be kept is not warned of");
    require(run.descriptors_after == run.descriptors_before, "I5, a descriptor is left open");
    require(run.threads_after == run.threads_before, "I5, a thread is left");
}

}  // namespace opforge::test
