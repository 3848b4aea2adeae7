#include "kernel_peers.hpp"

#include "deepspeed_peer.hpp"

#include <fmt/format.h>

#include <exception>
#include <memory>
#include <utility>

namespace opforge::bench {
namespace {

using nlohmann::json;

json note(const std::string& why) {
    return {{"note", why}};
}

std::unique_ptr<DeepSpeedPeer> open_deepspeed(const std::filesystem::path& library) {
    if (library.empty()) {
        return nullptr;
    }
    try {
        return std::make_unique<DeepSpeedPeer>(library);
    } catch (const std::exception& error) {
        fmt::print(stderr, "opforge-bench-kernels: without DeepSpeed: {}\n", error.what());
        return nullptr;
    }
}

/// What DeepSpeed launches for the cell, tried once; else the note why not.
std::pair<KernelTiming::Launch, json> tried(KernelTiming& timing, const DeepSpeedPeer& peer,
                                            const Cell& cell) {
    KernelTiming::Launch launch = peer.launch(cell);
    if (!launch) {
        return {nullptr, note(DeepSpeedPeer::refusal(cell))};
    }
    try {
        static_cast<void>(timing.time([&] { launch(timing.memory(), timing.stream()); }));
    } catch (const std::exception& error) {
        return {nullptr, note(error.what())};
    }
    return {std::move(launch), json::object()};
}

json measure_beside(KernelTiming& timing, const Cell& cell, const DeepSpeedPeer* deepspeed,
                    int rounds) {
    std::vector<KernelTiming::Launch> launches{cell.run};
    json peer;
    if (deepspeed != nullptr) {
        auto [launch, why_not] = tried(timing, *deepspeed, cell);
        if (launch) {
            launches.push_back(std::move(launch));
        }
        peer = std::move(why_not);
    }
    const KernelTiming::Turns turns = timing.take_turns(cell.bytes, launches, rounds);
    json result = describe(cell);
    add_figures(result, turns.copy, turns.launches.front());
    if (launches.size() > 1) {
        add_figures(peer, turns.copy, turns.launches.back());
        const Summary over = ratios(turns.launches.back(), turns.launches.front());
        peer["ours_over"] = over.median;
        peer["ours_over_smallest"] = over.smallest;
        peer["ours_over_largest"] = over.largest;
    }
    if (!peer.is_null()) {
        result["deepspeed"] = std::move(peer);
    }
    return result;
}

std::string columns(const json& entry, const char* part) {
    const auto found = entry.find(part);
    if (found == entry.end()) {
        return fmt::format(" {:>25}", "");
    }
    if (!found->contains("share_of_copy") || !found->contains("ours_over")) {
        return fmt::format(" {:>25.25}", found->value("note", std::string("not measured")));
    }
    return fmt::format(" {:9.1f} {:7.2f} {:7.2f}", found->at("microseconds").get<double>(),
                       found->at("share_of_copy").get<double>(),
                       found->at("ours_over").get<double>());
}

}  // namespace

json measure_peers(KernelTiming& timing, const PeerSettings& settings) {
    const std::unique_ptr<DeepSpeedPeer> deepspeed = open_deepspeed(settings.deepspeed);
    json measured = json::array();
    json results = json::array();
    for (const Cell& cell : baseline_cells()) {
        if (cell.name().find(settings.filter) == std::string::npos) {
            continue;
        }
        try {
            results.push_back(measure_beside(timing, cell, deepspeed.get(), settings.rounds));
            measured.push_back(describe(cell));
        } catch (const std::exception& error) {
            fmt::print(stderr, "opforge-bench-kernels: {}: {}\n", cell.name(), error.what());
        }
    }
    if (settings.torch && !measured.empty()) {
        std::vector<json> torch = measure_torch(*settings.torch, measured);
        for (std::size_t i = 0; i < measured.size(); ++i) {
            if (torch[i].contains("microseconds")) {
                // Seconds apart, not by turns; beside the copy of its own process it says the same.
                torch[i]["ours_over"] = torch[i].at("microseconds").get<double>() /
                                        results[i].at("microseconds").get<double>();
            }
            results[i]["torch"] = std::move(torch[i]);
        }
    }
    return results;
}

std::string peers_table(const json& peers) {
    std::string table = fmt::format("{:<56} {:>9} {:>7} {:>25} {:>25}\n{:<56} {:>9} {:>7}", "", "",
                                    "", "DeepSpeed:", "torch.compile:", "cell", "us", "of copy");
    for (int peer = 0; peer < 2; ++peer) {
        table += fmt::format(" {:>9} {:>7} {:>7}", "us", "of copy", "ours x");
    }
    table += '\n';
    for (const json& entry : peers) {
        table += fmt::format("{:<56} {:9.1f} {:7.2f}{}{}\n", entry.value("name", std::string()),
                             entry.at("microseconds").get<double>(),
                             entry.at("share_of_copy").get<double>(), columns(entry, "deepspeed"),
                             columns(entry, "torch"));
    }
    return table;
}

}  // namespace opforge::bench
