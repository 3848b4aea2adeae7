// What is known of NVIDIA's architectures, in one table: pure data.
#pragma once

#include <opforge/builder/target.hpp>

#include <array>
#include <span>

namespace opforge::builder {

struct Architecture {
    int major;
    int minor;
    int first_driver;  // CUDA's number of the first driver that runs it
    /// Its cubins and those of other minors do not run on each other: NVIDIA promises binary
    /// compatibility among the desktop parts of a major only, not with Tegra's.
    bool stands_alone;
};

/// Oldest first, from the oldest that opforge compiles for.
[[nodiscard]] std::span<const Architecture> architectures() noexcept;

/// The smallest driver that runs `target` at all, whoever made it; 0 where the architecture is not
/// in the table.
[[nodiscard]] int first_driver(const Target& target) noexcept;

/// The oldest capability that opforge's programs are compiled for, as major * 10 + minor.
inline constexpr int kOldestCapability = 75;

}  // namespace opforge::builder
