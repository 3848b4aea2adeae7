// opforge-bench-kernels: the speed of every op as a share of a copy kernel's that moves the same
// total of bytes, the two taking turns in one run. Before every timed launch L2 is filled with
// other data. A share is the median over the rounds of copy time / op time of one round. Beside
// that: small tensors in replayed graphs, the peers that are there, and what of the limits holds.
#include "graph_replay.hpp"
#include "kernel_cells.hpp"
#include "kernel_limits.hpp"
#include "kernel_peers.hpp"
#include "kernel_picture.hpp"
#include "kernel_timing.hpp"
#include "machine.hpp"
#include "program.hpp"

#include <opforge/driver/context.hpp>
#include <opforge/driver/device.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace opforge::bench {
namespace {

using nlohmann::json;

constexpr int kLeastReplays = 21;  // short, and their differences are small

struct Settings {
    bool thorough = false;
    int rounds = 7;
    std::string filter;
    std::filesystem::path json_file;
    std::filesystem::path svg_file;
    std::filesystem::path from;
    std::filesystem::path deepspeed;
    TorchPeer torch{.python = "python3", .script = {}};
};

/// The entries of the cells that match; one that fails is told on standard error and left out.
class Series {
public:
    Series(const Settings& settings, std::size_t& failures)
        : filter_(settings.filter), failures_(&failures) {}

    json measure(const std::vector<Cell>& cells, const std::function<json(const Cell&)>& one,
                 const std::function<void(const Cell&, const json&)>& print) {
        json results = json::array();
        int in_a_row = 0;
        for (const Cell& cell : cells) {
            if (cell.name().find(filter_) == std::string::npos) {
                continue;
            }
            try {
                json result = one(cell);
                print(cell, result);
                results.push_back(std::move(result));
                in_a_row = 0;
            } catch (const std::exception& error) {
                fmt::print(stderr, "opforge-bench-kernels: {}: {}\n", cell.name(), error.what());
                ++*failures_;
                if (++in_a_row == kMostInARow) {
                    fmt::print(stderr, "opforge-bench-kernels: the rest of these is left out\n");
                    break;
                }
            }
        }
        std::fflush(stdout);
        return results;
    }

private:
    // After an error of the device itself, every later call fails.
    static constexpr int kMostInARow = 8;
    std::string filter_;
    std::size_t* failures_;
};

json measure_cells(KernelTiming& timing, const Settings& settings, Series& series) {
    fmt::print("{:62} {:>9} {:>6} {:>7} {:>13}\n", "cell", "us", "TB/s", "of copy", "spread");
    return series.measure(
        all_cells(settings.thorough),
        [&](const Cell& cell) { return measure(timing, cell, settings.rounds); },
        [](const Cell& cell, const json& result) {
            fmt::print("{:62} {:9.1f} {:6.2f} {:7.2f}   {:.2f} - {:.2f}\n", cell.name(),
                       result.at("microseconds").get<double>(),
                       result.at("terabytes_a_second").get<double>(),
                       result.at("share_of_copy").get<double>(),
                       result.at("share_smallest").get<double>(),
                       result.at("share_largest").get<double>());
        });
}

json measure_replays(KernelTiming& timing, const Settings& settings, Series& series) {
    fmt::print("\n{:62} {:>9} {:>9} {:>9} {:>15}\n", "replayed in a graph, L2 warm: us a launch",
               "op", "copy", "beyond", "spread");
    return series.measure(
        replay_cells(),
        [&](const Cell& cell) {
            return measure_replay(timing, cell, std::max(settings.rounds, kLeastReplays));
        },
        [](const Cell& cell, const json& result) {
            fmt::print("{:62} {:9.2f} {:9.2f} {:9.2f}   {:5.2f} - {:5.2f}\n", cell.name(),
                       result.at("microseconds").get<double>(),
                       result.at("copy_microseconds").get<double>(),
                       result.at("beyond_copy_microseconds").get<double>(),
                       result.at("beyond_smallest").get<double>(),
                       result.at("beyond_largest").get<double>());
        });
}

json peers_of(KernelTiming& timing, const Settings& settings) {
    PeerSettings peers;
    peers.deepspeed = settings.deepspeed;
    peers.filter = settings.filter;
    peers.rounds = settings.rounds;
    if (!settings.torch.script.empty()) {
        peers.torch = settings.torch;
        peers.torch->rounds = settings.rounds;
    }
    json results = measure_peers(timing, peers);
    fmt::print("\n{}", peers_table(results));
    return results;
}

/// Limits, files: all that needs no GPU.
void finish(json& figures, const Settings& settings) {
    figures["limits"] = kernel_limits(figures);
    fmt::print("\n{}", limits_table(figures.at("limits")));
    write_figures(settings.json_file, figures.dump(1));
    if (!settings.svg_file.empty()) {
        write_figures(settings.svg_file, kernel_picture(figures));
    }
}

json read_figures(const std::filesystem::path& path) {
    std::ifstream file(path);
    json figures = json::parse(file, nullptr, false);
    if (!figures.is_object() || !figures.contains("cells")) {
        throw std::runtime_error(fmt::format(
            "read {}: not the JSON of a run; make one with --json FILE", path.string()));
    }
    return figures;
}

int measure_all(const Settings& settings) {
    const driver::DriverApi& api = driver::real_driver();
    const driver::DeviceInfo device = driver::device_info(api, 0);
    const driver::ScopedContext current(api, driver::primary_context(api, 0));
    json figures{{"schema", 1},
                 {"benchmark", "kernels"},
                 {"machine", describe_machine()},
                 {"device", device.name},
                 {"rounds", settings.rounds}};
    fmt::print(
        "opforge kernels on {}; {} rounds, copy and op taking turns, L2 flushed before each\n",
        device.name, settings.rounds);
    std::size_t failures = 0;
    Series series(settings, failures);
    KernelTiming timing(api);
    figures["cells"] = measure_cells(timing, settings, series);
    figures["replay"] = measure_replays(timing, settings, series);
    if (!settings.deepspeed.empty() || !settings.torch.script.empty()) {
        // Foreign code comes last, and what is measured is kept before it runs.
        write_figures(settings.json_file, figures.dump(1));
        figures["peers"] = peers_of(timing, settings);
    }
    finish(figures, settings);
    if (failures > 0) {
        fmt::print(stderr, "opforge-bench-kernels: {} cells failed\n", failures);
    }
    return failures > 0 ? 1 : 0;
}

int run(int count, char** arguments) {
    CLI::App app{"The speed of every op, as a share of a copy kernel's of the same bytes"};
    Settings settings;
    app.add_flag("--thorough", settings.thorough,
                 "Every combination, not only those that tell the most");
    app.add_option("-r,--rounds", settings.rounds)
        ->check(CLI::Range(5, 10000))
        ->capture_default_str();
    app.add_option("--filter", settings.filter, "Only cells whose name has this in it");
    app.add_option("--json", settings.json_file, "Also write every value to this file");
    app.add_option("--svg", settings.svg_file, "Also draw share of copy by group size");
    CLI::Option* const deepspeed = app.add_option(
        "--deepspeed", settings.deepspeed, "Peer: what bench/peers/build_deepspeed.sh has built");
    CLI::Option* const torch =
        app.add_option("--torch", settings.torch.script, "Peer: bench/peers/torch_compile.py")
            ->check(CLI::ExistingFile);
    app.add_option("--python", settings.torch.python, "The interpreter with PyTorch")
        ->needs(torch)
        ->capture_default_str();
    app.add_option("--torch-seconds", settings.torch.seconds, "What torch.compile may take in all")
        ->needs(torch)
        ->check(CLI::Range(10, 3600))
        ->capture_default_str();
    app.add_option("--from", settings.from,
                   "Measure nothing: limits and picture of an earlier run's JSON")
        ->check(CLI::ExistingFile)
        ->excludes(deepspeed)
        ->excludes(torch);
    CLI11_PARSE(app, count, arguments);

    if (!settings.from.empty()) {
        json figures = read_figures(settings.from);
        finish(figures, settings);
        return 0;
    }
    return measure_all(settings);
}

}  // namespace
}  // namespace opforge::bench

int main(int count, char** arguments) {
    return opforge::bench::run_program("opforge-bench-kernels", opforge::bench::run, count,
                                       arguments);
}
