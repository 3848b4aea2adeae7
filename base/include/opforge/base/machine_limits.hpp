// How much of the machine this process may use: in a container, less than the machine has.
#pragma once

#include <opforge/base/export.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>

namespace opforge {

struct MachineLimits {
    /// Processors that may run at once: the process's affinity, and the quota of each cgroup above
    /// it (a broken one counts whole). At least 1.
    int processors = 1;
    /// What could still be allocated: of the machine, and of each cgroup above the process. Page
    /// cache that can be dropped counts as free. nullopt: not known.
    std::optional<std::uint64_t> memory_bytes;
};

/// Reads /proc and the cgroups, v1 and v2, now; what cannot be read limits nothing.
/// `root`: where /proc and the mount points are looked for; tests bring their own.
[[nodiscard]] OPFORGE_API MachineLimits machine_limits(const std::filesystem::path& root = "/");

}  // namespace opforge
