// Targets of a compile: what users write, what NVRTC takes, what a device can run.
#pragma once

#include <opforge/base/export.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::builder {

/// `sm_90`, `sm_90a` (architecture-specific), `sm_100f` (family), or virtual: `compute_90` (PTX).
struct OPFORGE_API Target {
    enum class Suffix : std::uint8_t { none, family, architecture };
    int major = 0;
    int minor = 0;
    Suffix suffix = Suffix::none;
    bool ptx = false;

    /// "sm_90a", "compute_90".
    [[nodiscard]] std::string name() const;
    /// "cubin" or "ptx".
    [[nodiscard]] const char* artifact_kind() const noexcept { return ptx ? "ptx" : "cubin"; }
    friend auto operator<=>(const Target&, const Target&) = default;
};

/// One target: `sm_90`, `sm_90a`, `compute_90`, `90`, `9.0`, `9.0a`, `10.0f`. @throws
/// InvalidArgument that lists the forms.
[[nodiscard]] OPFORGE_API Target parse_target(std::string_view text);

/// What a list may name besides targets.
struct TargetListContext {
    std::vector<Target> native;  // of the devices present; empty: `native` is an error that says so
    std::vector<Target> all_major;  // what `all-major` means for the NVRTC in use
};
/// A list in the manner of TORCH_CUDA_ARCH_LIST: entries split at ',', ';' or white space;
/// `8.6+PTX` gives sm_86 and compute_86; names of TORCH's ("Hopper", "Ampere", ...), `native`,
/// `all-major`. Duplicates are merged, order is kept.
/// @throws InvalidArgument naming the entry.
[[nodiscard]] OPFORGE_API std::vector<Target> parse_targets(std::string_view text,
                                                            const TargetListContext& context = {});

/// What matters of a device for choosing a target.
struct DeviceFacts {
    int major = 0;
    int minor = 0;
    int driver_version = 0;  // CUDA's number: 13000
};

/// Which suffix a program asks for, where the target has one.
using Wants = Target::Suffix;

/// The targets whose entry this device could run, best first: the exact `a` or `f` target if the
/// program wants it, the exact plain one, lower minors of the same major, then PTX from the
/// device's own down to 7.5. Pure.
[[nodiscard]] OPFORGE_API std::vector<Target> candidates(const DeviceFacts& device, Wants wants);

/// The target a prewarm asks the compiler for: `9.0a` lowers to sm_90 for programs that do not want
/// the suffix.
[[nodiscard]] OPFORGE_API Target lower(const Target& asked, Wants wants);

/// The smallest driver (CUDA's number) that loads what a toolchain of this version made for this
/// target.
[[nodiscard]] OPFORGE_API int minimum_driver(const Target& target, int toolchain_major,
                                             int toolchain_minor);

}  // namespace opforge::builder
