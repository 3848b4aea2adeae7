// opforge-bench-startup: what the first op of a process costs beyond cuInit and a context, cold
// (empty cache) and warm (same cache, new process), beside raw NVRTC and the raw driver. One
// process for each measurement: this program starts itself. The kinds take turns, so that a machine
// that warms up or slows down favours none.
#include "machine.hpp"
#include "measured_process.hpp"
#include "program.hpp"
#include "startup_measurements.hpp"
#include "statistics.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace opforge::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A folder for caches, gone with its owner.
class Scratch {
public:
    explicit Scratch(const fs::path& parent) {
        std::string name = (parent / "opforge-bench-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error(
                fmt::format("make a folder in {}: mkdtemp failed", parent.string()));
        }
        path_ = name;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    [[nodiscard]] const fs::path& path() const { return path_; }

private:
    fs::path path_;
};

/// Runs one measurement in a process of its own. @param cache its OPFORGE_CACHE_DIR
json measure(const std::string& kind, const StartupTask& task, const fs::path& cache) {
    const ProcessResult result =
        run_process({"/proc/self/exe", "--measure", kind, "--device", std::to_string(task.device),
                     "--target", task.target, "--nvrtc", task.nvrtc, "--cubin", task.cubin},
                    {{"OPFORGE_CACHE_DIR", cache.string()}});
    if (result.exit_code != 0) {
        throw std::runtime_error(
            fmt::format("the measurement `{}` ended with code {}", kind, result.exit_code));
    }
    return json::parse(result.output);
}

/// One kind of process: what it runs as, and what its figures are called in the series.
struct Kind {
    std::string name;     // "cold"
    std::string measure;  // "first_op"
    bool empty_cache = false;
    std::string origin;  // where the program must have come from; empty: not asked
};

/// name of a kind and of a figure -> its values, in the order measured
using Series = std::map<std::pair<std::string, std::string>, std::vector<double>>;

void run_once(const Kind& kind, const StartupTask& task, const fs::path& warm_cache,
              Series& series) {
    std::optional<Scratch> fresh;
    if (kind.empty_cache) {
        fresh.emplace(warm_cache.parent_path());
    }
    const json took = measure(kind.measure, task, fresh ? fresh->path() : warm_cache);
    if (!kind.origin.empty()) {
        // A benchmark that measures something else than it says is worse than none.
        const std::string origin = took.at("origin");
        if (origin != kind.origin) {
            throw std::runtime_error(
                fmt::format("the {} process has its program from `{}`, not from `{}`", kind.name,
                            origin, kind.origin));
        }
        if (kind.origin != "compiled" && took.at("libnvrtc_mapped")) {
            throw std::runtime_error(fmt::format("the {} process mapped libnvrtc", kind.name));
        }
    }
    for (const auto& [figure, value] : took.items()) {
        if (value.is_number()) {
            series[{kind.name, figure}].push_back(value);
        }
    }
}

std::vector<Kind> kinds_to_measure(bool gpu, bool nvrtc) {
    std::vector<Kind> kinds;
    if (gpu) {
        kinds.push_back({"context", "context", false, ""});
        kinds.push_back({"cold", "first_op", true, "compiled"});
        kinds.push_back({"warm", "first_op", false, "user_directory"});
        kinds.push_back({"steps", "steps", false, ""});
        kinds.push_back({"raw_load", "raw_load", false, ""});
    } else {
        kinds.push_back({"cold_build", "build", true, "compiled"});
        kinds.push_back({"warm_build", "build", false, "user_directory"});
    }
    if (nvrtc) {
        kinds.push_back({"raw_compile", "raw_compile", false, ""});
    }
    return kinds;
}

struct Row {
    const char* kind;
    const char* figure;
    const char* text;
};

constexpr Row kRows[] = {
    {"context", "cu_init", "dlopen of libcuda, cuInit"},
    {"context", "context", "primary context"},
    {"context", "cu_init_and_context", "both, alone in a process"},
    {"cold", "first_op_returned", "cold first op, beyond these: returned"},
    {"cold", "first_op_done", "cold first op, beyond these: done"},
    {"cold", "load_program", "  of that: looked up, compiled, published, loaded"},
    {"cold", "compile", "  of that: NVRTC's compile"},
    {"warm", "first_op_returned", "warm first op, beyond these: returned"},
    {"warm", "first_op_done", "warm first op, beyond these: done"},
    {"warm", "load_program", "  of that: looked up, verified, loaded"},
    {"steps", "open_driver", "  steps, warm: libcuda's table"},
    {"steps", "device_info", "  steps, warm: the device's facts"},
    {"steps", "make_module", "  steps, warm: the module"},
    {"steps", "load_kernels", "  steps, warm: its kernels from the cache"},
    {"warm", "second_op_returned", "second op: returned"},
    {"cold_build", "build", "cold build of the program, no GPU"},
    {"warm_build", "build", "warm build of the program, no GPU"},
    {"raw_load", "raw_load", "raw: cuLibraryLoadData and kernel handles"},
    {"raw_load", "raw_load_into_context", "raw: the same and loaded into the context"},
    {"raw_compile", "nvrtc_open", "raw: dlopen of libnvrtc"},
    {"raw_compile", "nvrtc_compile", "raw: NVRTC, same program and options"},
    {"raw_compile", "raw_compile", "raw: both"},
};

void print_row(const char* text, const Summary& summary) {
    fmt::print("{:<52} {:>10.3f} {:>10.3f} {:>10.3f}\n", text, summary.median / 1000,
               summary.smallest / 1000, summary.largest / 1000);
}

json to_json(const Summary& summary) {
    return {
        {"median_us", summary.median}, {"min_us", summary.smallest}, {"max_us", summary.largest}};
}

/// Medians of whole processes, one subtracted from the other: the same question asked without
/// trusting a start within the process.
std::vector<std::pair<std::string, double>> differences(const Series& series) {
    std::vector<std::pair<std::string, double>> found;
    const auto alone = series.find({"context", "cu_init_and_context"});
    for (const char* kind : {"cold", "warm"}) {
        const auto whole = series.find({kind, "whole"});
        if (alone != series.end() && whole != series.end()) {
            found.emplace_back(kind,
                               summarise(whole->second).median - summarise(alone->second).median);
        }
    }
    return found;
}

json report(const Series& series, const json& machine, const json& found, const StartupTask& task,
            int repetitions) {
    json figures;
    fmt::print("{:<52} {:>10} {:>10} {:>10}\n", "milliseconds", "median", "min", "max");
    for (const Row& row : kRows) {
        if (const auto values = series.find({row.kind, row.figure}); values != series.end()) {
            const Summary summary = summarise(values->second);
            print_row(row.text, summary);
            figures[row.kind][row.figure] = to_json(summary);
            figures[row.kind][row.figure]["values_us"] = values->second;
        }
    }
    for (const auto& [kind, difference] : differences(series)) {
        fmt::print("{:<52} {:>10.3f}\n",
                   fmt::format("{}: median of whole processes less that of `both`", kind),
                   difference / 1000);
        figures[kind]["difference_of_medians_us"] = difference;
    }
    json all;
    all["schema"] = 1;
    all["benchmark"] = "startup";
    all["machine"] = machine;
    all["found"] = found;
    all["program"] = kProgram;
    all["target"] = task.target;
    all["repetitions"] = repetitions;
    all["figures"] = figures;
    return all;
}

void print_heading(const json& machine, const json& found, const StartupTask& task,
                   int repetitions) {
    fmt::print("opforge start-up: {} for {}, {} processes of each kind, taking turns\n", kProgram,
               task.target, repetitions);
    fmt::print("{}, {} cores, {}\n", machine.value("processor", "unknown processor"),
               machine.value("cores", 0), machine.value("kernel", "unknown kernel"));
    if (found.at("gpu")) {
        fmt::print("{}, CUDA {}", found.value("name", ""), found.value("cuda", ""));
        const auto index = static_cast<std::size_t>(task.device);
        if (machine.at("gpus").size() > index) {
            const json& gpu = machine.at("gpus")[index];
            fmt::print(", driver {}, SM {} of {}, memory {}, persistence {}",
                       gpu.value("driver_version", "?"), gpu.value("clocks.sm", "?"),
                       gpu.value("clocks.max.sm", "?"), gpu.value("clocks.mem", "?"),
                       gpu.value("persistence_mode", "?"));
        }
        fmt::print("\n");
    } else {
        fmt::print("no GPU ({}): measured is what needs none\n", found.value("reason", ""));
    }
    fmt::print("NVRTC {} ({})\n\n", found.value("nvrtc_version", "none"),
               found.value("nvrtc", "none found"));
}

int run_all(StartupTask task, int repetitions, const fs::path& scratch, const fs::path& json_file) {
    const Scratch warm(scratch);
    const json found = measure("probe", task, warm.path());
    const bool gpu = found.at("gpu");
    const bool nvrtc = found.contains("nvrtc");
    if (!nvrtc) {
        throw std::runtime_error(
            "no usable NVRTC: a cold start cannot be measured; `opforge report` says where it "
            "was looked for");
    }
    if (gpu) {
        task.target = found.at("target");
    }
    task.nvrtc = found.at("nvrtc").get<std::string>();
    // Fills the cache that the warm processes find.
    static_cast<void>(measure(gpu ? "first_op" : "build", task, warm.path()));
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(warm.path())) {
        if (entry.path().extension() == ".cubin") {
            task.cubin = entry.path();
        }
    }
    const json machine = describe_machine();
    print_heading(machine, found, task, repetitions);
    Series series;
    const std::vector<Kind> kinds = kinds_to_measure(gpu, nvrtc);
    for (int i = 0; i < repetitions; ++i) {
        for (const Kind& kind : kinds) {
            run_once(kind, task, warm.path(), series);
        }
    }
    const json all = report(series, machine, found, task, repetitions);
    write_figures(json_file, all.dump(2));
    return 0;
}

/// The measuring process.
int run_measurement(const std::string& kind, const StartupTask& task) {
    const std::map<std::string, std::function<json(const StartupTask&)>> measurements = {
        {"probe", probe},
        {"context", measure_context},
        {"first_op", measure_first_op},
        {"steps", measure_steps},
        {"raw_load", measure_raw_load},
        {"raw_compile", measure_raw_compile},
        {"build", measure_build}};
    fmt::print("{}\n", measurements.at(kind)(task).dump());
    return 0;
}

int run(int count, char** arguments) {
    CLI::App app{
        "What the first op of a process costs, cold and warm, beside raw NVRTC and the raw driver"};
    StartupTask task;
    task.target = "sm_90";
    int repetitions = 15;
    fs::path scratch = fs::temp_directory_path();
    fs::path json_file;
    std::string kind;
    app.add_option("-n,--repetitions", repetitions, "Processes of each kind")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    app.add_option("--device", task.device, "CUDA device")->capture_default_str();
    app.add_option("--target", task.target, "What to compile for where there is no GPU")
        ->capture_default_str();
    app.add_option("--scratch", scratch,
                   "Where the caches lie: their file system is part of what is measured")
        ->check(CLI::ExistingDirectory)
        ->capture_default_str();
    app.add_option("--json", json_file, "Also write every value to this file");
    // What the program tells itself.
    app.add_option("--measure", kind)->group("");
    app.add_option("--nvrtc", task.nvrtc)->group("");
    app.add_option("--cubin", task.cubin)->group("");
    CLI11_PARSE(app, count, arguments);
    return kind.empty() ? run_all(task, repetitions, scratch, json_file)
                        : run_measurement(kind, task);
}

}  // namespace
}  // namespace opforge::bench

int main(int count, char** arguments) {
    return opforge::bench::run_program("opforge-bench-startup", opforge::bench::run, count,
                                       arguments);
}
