// What `--arch` means on this machine.
#pragma once

#include <opforge/builder/target.hpp>

#include <string>
#include <vector>

namespace opforge::tools {

/// The list given, else OPFORGE_ARCH, else TORCH_CUDA_ARCH_LIST, else "native". The driver is
/// opened only for `native`, an NVRTC is looked for only for `all-major`.
/// @throws InvalidArgument naming the entry; NoDevice for `native` without a GPU; ToolchainNotFound
/// for `all-major`
///         without an NVRTC
[[nodiscard]] std::vector<builder::Target> targets_to_prewarm(const std::string& given);

/// What nvcc of that version builds for -arch=all-major: the first of each major as a cubin, PTX
/// for the newest.
[[nodiscard]] std::vector<builder::Target> all_major_targets(int toolkit_major, int toolkit_minor);

}  // namespace opforge::tools
