#include "torch_peer.hpp"

#include "measured_process.hpp"

#include <fmt/format.h>

#include <sstream>

namespace opforge::bench {

using nlohmann::json;

std::vector<json> parse_torch_lines(const std::string& output, std::size_t cells) {
    std::vector<json> results(cells, json{{"note", "not measured"}});
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        json entry = json::parse(line, nullptr, false);
        if (!entry.is_object() || !entry.contains("index") ||
            !entry.at("index").is_number_unsigned()) {
            continue;
        }
        const auto index = entry.at("index").get<std::size_t>();
        if (index < cells) {
            entry.erase("index");
            results[index] = std::move(entry);
        }
    }
    return results;
}

std::vector<json> measure_torch(const TorchPeer& peer, const json& cells) {
    const ProcessResult result =
        run_process({peer.python, peer.script, "--cells", cells.dump(), "--rounds",
                     std::to_string(peer.rounds), "--seconds", std::to_string(peer.seconds)},
                    {});
    if (result.exit_code != 0) {
        fmt::print(stderr, "opforge-bench-kernels: {} {} ended with {}\n", peer.python, peer.script,
                   result.exit_code);
    }
    return parse_torch_lines(result.output, cells.size());
}

}  // namespace opforge::bench
