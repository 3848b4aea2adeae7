// Why the cache has a program for a target, or field by field why not. Reads only; compiles
// nothing, moves nothing, and needs no GPU.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/builder/op_builder.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace opforge::builder {

/// One field of the key (docs/key.md), or of what stands in the way of an entry that has the key.
///   layer                       found: why the layer is passed over, with all that it holds
///   op, program                 no entry of that name at all: nothing to compare with
///   source                      digest of the program's source
///   header NAME                 digest of a header; empty on the side that does not reach it
///   option NAME                 an option that changes code
///   define NAME                 its value
///   kernels                     the public names
///   target, artifact_kind       "sm_90", "cubin"
///   toolchain                   "nvrtc 13.0"
///   toolchain fingerprint       of two toolchains of one version
///   driver                      asked: this machine's, where a device here would be given the
///                               entry; found: the least that the entry needs
///   integrity                   found: what is wrong with an entry that has the key
struct FieldDifference {
    std::string field;
    std::optional<std::string> asked;  // nullopt: what was asked for has no such field
    std::optional<std::string> found;  // nullopt: the entry has no such field, or there is none
    /// "nvrtc 12.9 -> 13.0", "header opforge/kernels/rounding.cuh changed": found first.
    [[nodiscard]] OPFORGE_API std::string text() const;
    friend bool operator==(const FieldDifference&, const FieldDifference&) = default;
};

/// The fields in which what was asked for differs from an entry; empty: it serves. `toolchain`: the
/// one that has to have made it; nullopt: any.
[[nodiscard]] OPFORGE_API std::vector<FieldDifference>
differences(const cache::Request& asked, const std::optional<cache::Toolchain>& toolchain,
            const cache::Manifest& found);

/// What one layer has to say.
struct LayerExplanation {
    std::filesystem::path layer;  // its root
    bool sealed = false;
    bool hit = false;
    std::filesystem::path nearest;  // the entry that hits, or differs least; empty: there is none
    std::vector<FieldDifference> differs;
};

struct Explanation {
    std::string program;
    Target target;
    bool hit = false;
    std::vector<LayerExplanation> layers;  // in the order in which they are asked

    /// The layer that hits, else the one whose nearest entry differs least; null without layers.
    [[nodiscard]] OPFORGE_API const LayerExplanation* telling() const noexcept;
};

/// For each target and program (empty: all of the op's). Each layer is read once.
/// @throws InvalidArgument for an unknown program or a bad OPFORGE_POLICY; CacheError where a layer
/// cannot be read
[[nodiscard]] OPFORGE_API std::vector<Explanation>
explain(const OpBuilder& builder, const std::vector<Target>& targets,
        const std::vector<std::string>& programs = {});

}  // namespace opforge::builder
