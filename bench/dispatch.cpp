// opforge-bench-dispatch: what a call of ds_quantizer costs the host after the first one, beyond
// the launch that it makes. On a GPU: beside a raw cuLaunchKernel of the same kernel with the same
// arguments, batches of both taking turns. With --fake, or where there is no GPU: beside a table of
// the driver that answers at once, which leaves opforge's own part alone.
#include "dispatch_calls.hpp"
#include "dispatch_rounds.hpp"
#include "machine.hpp"
#include "program.hpp"
#include "statistics.hpp"

#include <opforge/driver/device.hpp>
#include <opforge/driver/driver_api.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <string>

namespace opforge::bench {
namespace {

using nlohmann::json;

bool has_gpu() {
    const driver::DriverState& state = driver::driver_state();
    return state.api != nullptr && driver::device_count(*state.api) > 0;
}

void print_heading(const json& machine, bool gpu, const DispatchSettings& settings) {
    fmt::print("opforge dispatch: {}, {} rounds of {} calls and {} {}, taking turns\n",
               gpu ? "on a GPU" : "on a driver that answers at once", settings.rounds,
               settings.batch, settings.batch, gpu ? "cuLaunchKernel" : "launches");
    fmt::print("{}, {} cores, {}\n", machine.value("processor", "unknown processor"),
               machine.value("cores", 0), machine.value("kernel", "unknown kernel"));
    for (const json& one : machine.at("gpus")) {
        fmt::print("{}, driver {}, SM {} of {}\n", one.value("name", ""),
                   one.value("driver_version", "?"), one.value("clocks.sm", "?"),
                   one.value("clocks.max.sm", "?"));
    }
    fmt::print("\n{:<44} {:>10} {:>10} {:>12} {:>17}\n", "nanoseconds a call, medians", "call",
               "launch", "difference", "spread");
}

json measure(const DispatchCall& call, const DispatchRounds& rounds) {
    const Summary ours = summarise(rounds.call);
    const Summary raw = summarise(rounds.launch);
    const Summary difference = summarise(rounds.difference);
    fmt::print("{:<44} {:10.1f} {:10.1f} {:12.1f}   {:6.1f} - {:6.1f}\n", call.name, ours.median,
               raw.median, difference.median, rounds.quartiles().first, rounds.quartiles().second);
    return {{"call", call.name},
            {"elements", call.elements},
            {"groups", call.groups},
            {"stochastic", call.stochastic},
            {"asymmetric", call.asymmetric},
            {"own_stream", call.own_stream},
            {"in_place", call.in_place},
            {"call_ns", ours.median},
            {"launch_ns", raw.median},
            {"difference_ns", difference.median},
            {"difference_quartiles_ns", {rounds.quartiles().first, rounds.quartiles().second}}};
}

int run(int count, char** arguments) {
    CLI::App app{"What a call of ds_quantizer costs the host beyond its launch"};
    DispatchSettings settings;
    bool fake = false;
    std::filesystem::path json_file;
    app.add_flag("--fake", fake, "Without a GPU, also where there is one");
    app.add_option("-r,--rounds", settings.rounds)
        ->check(CLI::Range(5, 100000))
        ->capture_default_str();
    app.add_option("--batch", settings.batch, "Calls and launches a round; fewer than CUDA queues")
        ->check(CLI::Range(1, 900))
        ->capture_default_str();
    app.add_option("--json", json_file, "Also write the figures to this file");
    CLI11_PARSE(app, count, arguments);

    const bool gpu = !fake && has_gpu();
    const json machine = describe_machine();
    print_heading(machine, gpu, settings);
    json figures = json::array();
    for (const DispatchCall& call : dispatch_calls()) {
        figures.push_back(
            measure(call, gpu ? measure_on_gpu(call, settings) : measure_on_fake(call, settings)));
    }
    write_figures(json_file, json{{"schema", 1},
                                  {"benchmark", "dispatch"},
                                  {"machine", machine},
                                  {"driver", gpu ? "real" : "fake"},
                                  {"rounds", settings.rounds},
                                  {"batch", settings.batch},
                                  {"calls", std::move(figures)}}
                                 .dump(1));
    return 0;
}

}  // namespace
}  // namespace opforge::bench

int main(int count, char** arguments) {
    return opforge::bench::run_program("opforge-bench-dispatch", opforge::bench::run, count,
                                       arguments);
}
