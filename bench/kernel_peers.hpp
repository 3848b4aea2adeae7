// The cells of the baselines, with the peers that are there.
#pragma once

#include "kernel_timing.hpp"
#include "torch_peer.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace opforge::bench {

struct PeerSettings {
    std::filesystem::path deepspeed;  // the shared object; empty: without
    std::optional<TorchPeer> torch;
    std::string filter;
    int rounds = 7;
};

/// One entry a cell: its description, our figures as measure() gives them, and `deepspeed` and
/// `torch` with microseconds, share_of_copy and ours_over (their time over ours), or with `note`,
/// why there are none. DeepSpeed's kernels take turns with ours and the copy; torch.compile's are
/// measured after that, by a process of their own. A peer that fails is noted and left out.
[[nodiscard]] nlohmann::json measure_peers(KernelTiming& timing, const PeerSettings& settings);

[[nodiscard]] std::string peers_table(const nlohmann::json& peers);

}  // namespace opforge::bench
