// DeepSpeed's own quantizer kernels as a peer, from the shared object that
// bench/peers/build_deepspeed.sh makes, in this process: its kernels take turns with ours.
#pragma once

#include "kernel_timing.hpp"
#include "raw_cuda.hpp"

#include <filesystem>
#include <string>

namespace opforge::bench {

class DeepSpeedPeer {
public:
    /// @throws std::runtime_error where the file is not such a shared object
    explicit DeepSpeedPeer(const std::filesystem::path& library);

    /// What DeepSpeed launches for the cell; throws std::runtime_error where its binding returns
    /// without a launch, and where CUDA refuses it. Empty where it has no such op: refusal() says
    /// why.
    [[nodiscard]] KernelTiming::Launch launch(const Cell& cell) const;
    /// Empty where launch() is not.
    [[nodiscard]] static std::string refusal(const Cell& cell);

private:
    RawLibrary library_;
};

}  // namespace opforge::bench
