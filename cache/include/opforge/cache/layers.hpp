// Read-only directories of entries that a cache looks in before the user's own: what an image or an
// administrator ships. Values only; see seal.hpp for making one.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/cache/digest.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::cache {

struct LayerSpec {
    std::filesystem::path path;  // absolute
    bool shared = false;         // another owner's, and its group's, on purpose
    /// What the layer's digest list must hash to; nullopt: any, also none.
    std::optional<Digest> sha256 = std::nullopt;
    /// Why this can be no layer at all (a relative path, an option that nobody knows); empty: it
    /// may be one.
    std::string fault = {};
};

/// PATH[;shared][;sha256=HEX][:PATH...], as OPFORGE_LAYERS has it. A part that is wrong comes back
/// with its fault: a layer never fails an op. Paths with ':' or ';' in them can only be given as
/// LayerSpec.
[[nodiscard]] OPFORGE_API std::vector<LayerSpec> parse_layers(std::string_view text);

/// Of OPFORGE_LAYERS; empty where it is not set.
[[nodiscard]] OPFORGE_API std::vector<LayerSpec> layers_of_environment();

}  // namespace opforge::cache
