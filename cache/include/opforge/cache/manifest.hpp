// The manifest of one entry: what was asked for, what made it, and what the artifact must hash to.
// Its file is byte-equal to its canonical form, and sealed by its own digest: every flipped byte is
// seen. Format, limits and history: docs/cache_format.md.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/cache/cache_key.hpp>
#include <opforge/cache/digest.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace opforge::cache {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMaxArtifactBytes = std::size_t{256} << 20U;
inline constexpr int kMaxManifestDepth = 16;

struct Artifact {
    std::string kind;  // "cubin" or "ptx": the file is kernels.<kind>
    Digest sha256;
    std::uint64_t size_bytes = 0;
    friend bool operator==(const Artifact&, const Artifact&) = default;
};

/// Registers a thread and static shared memory a block; -1 where the compiler did not say.
struct KernelRecord {
    std::string name;          // public
    std::string lowered_name;  // in the artifact
    std::int64_t registers = -1;
    std::int64_t static_shared_bytes = -1;
    friend bool operator==(const KernelRecord&, const KernelRecord&) = default;
};

struct Manifest {
    Request request;
    Toolchain toolchain;
    Artifact artifact;
    std::vector<KernelRecord> kernels;
    int minimum_driver = 0;  // CUDA's number: 13000 is 13.0
    std::int64_t compile_microseconds = 0;
    std::string compile_log;
    std::string producer;    // "opforge 0.1.0"
    std::string extra_json;  // unknown top-level fields of a newer writer, canonical, "" where none
    friend bool operator==(const Manifest&, const Manifest&) = default;
};

/// The file's bytes, sealed. @throws InvalidArgument where a text is not UTF-8 or a cap is passed.
[[nodiscard]] OPFORGE_API std::string to_canonical_json(const Manifest& manifest);

/// Parses and verifies: size, depth, duplicate keys, seal, canonical form, digests of its own
/// inputs.
/// @throws IntegrityError (with an empty path) that says what is wrong.
[[nodiscard]] OPFORGE_API Manifest parse_manifest(std::string_view text);

}  // namespace opforge::cache
