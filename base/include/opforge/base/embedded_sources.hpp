// Kernel text compiled into the program by opforge_embed_kernels() in CMake, with digests computed
// at build time: a warm start hashes no source.
#pragma once

#include <span>
#include <string_view>

namespace opforge {

/// One file under the virtual name that `#include "…"` uses; `sha256` is 64 lower-case hexadecimal
/// characters.
struct EmbeddedFile {
    std::string_view name;
    std::string_view text;
    std::string_view sha256;
};

/// One translation unit and every header it reaches, sorted by name, found by a textual scan that
/// ignores `#if`.
struct EmbeddedSource {
    EmbeddedFile file;
    std::span<const EmbeddedFile> headers;
};

/// What one opforge_embed_kernels() call embedded. Static storage: it never goes away.
struct EmbeddedSources {
    std::span<const EmbeddedSource> sources;
    /// Null where there is no such source.
    [[nodiscard]] const EmbeddedSource* find(std::string_view name) const noexcept {
        for (const EmbeddedSource& source : sources) {
            if (source.file.name == name) {
                return &source;
            }
        }
        return nullptr;
    }
};

}  // namespace opforge
