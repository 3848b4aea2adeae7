// torch.compile as a peer: a Python process of its own that measures the same cells on the same GPU
// beside its own copy of the same bytes (bench/peers/torch_compile.py).
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace opforge::bench {

struct TorchPeer {
    std::string python;  // the interpreter that has PyTorch
    std::string script;
    int rounds = 7;
    int seconds = 90;  // after which the script gives what it has
};

/// @param cells their descriptions
/// @return one entry a cell, in their order: microseconds, copy_microseconds, share_of_copy; or
/// `note`, why there is none. Never throws because of what the process does.
[[nodiscard]] std::vector<nlohmann::json> measure_torch(const TorchPeer& peer,
                                                        const nlohmann::json& cells);

/// What the script printed, a JSON object a line, as above. Lines that are none are passed over.
[[nodiscard]] std::vector<nlohmann::json> parse_torch_lines(const std::string& output,
                                                            std::size_t cells);

}  // namespace opforge::bench
