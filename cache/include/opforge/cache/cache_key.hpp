// Identity: what is asked for (the want digest) and, with the toolchain that built it, what was
// made (the full digest). Both are SHA-256 over the canonical JSON of the fields below: sorted
// keys, integers only, no white space. Never in a key: paths, thread counts, verbosity, device
// ordinal, host name, driver version. Grammar: docs/key.md.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/cache/digest.hpp>

#include <string>
#include <utility>
#include <vector>

namespace opforge::cache {

inline constexpr int kSchema = 1;

/// A header in a program's closure, by the virtual name that `#include` uses.
struct HeaderDigest {
    std::string name;
    Digest digest;
    friend bool operator==(const HeaderDigest&, const HeaderDigest&) = default;
};

/// What is asked for. `headers`, `options`, `defines` and `kernels` may be in any order: a key
/// sorts them.
struct Request {
    std::string op;       // "quantizer"
    std::string program;  // "ds_quantize_fp16"
    Digest source;
    std::vector<HeaderDigest> headers;
    std::vector<std::string> options;  // those that change code, normalised: "--fmad=false"
    std::vector<std::pair<std::string, std::string>> defines;
    std::vector<std::string> kernels;  // public names
    std::string target;                // "sm_90", "sm_90a", "compute_90"
    std::string artifact_kind;         // "cubin" or "ptx"
    friend bool operator==(const Request&, const Request&) = default;
};

/// The same request with its lists in the order that a key and a manifest have them.
[[nodiscard]] OPFORGE_API Request canonical(Request request);

/// What compiled it.
struct Toolchain {
    std::string name;  // "nvrtc"
    int major = 0;
    int minor = 0;
    std::string fingerprint;  // build-ids of the library and of its builtins
    friend bool operator==(const Toolchain&, const Toolchain&) = default;
};

/// The canonical text of the want fields, as hashed and as stored in a manifest's `inputs`.
/// Like all below: @throws InvalidArgument where a text is not UTF-8 or two headers or defines
/// share a name.
[[nodiscard]] OPFORGE_API std::string canonical_inputs(const Request& request);
[[nodiscard]] OPFORGE_API std::string canonical_toolchain(const Toolchain& toolchain);

[[nodiscard]] OPFORGE_API Digest want_digest(const Request& request);
[[nodiscard]] OPFORGE_API Digest full_digest(const Request& request, const Toolchain& toolchain);

/// The entry's folder name below its shard: "<want, 64 hex>.<toolchain, 12 hex>".
[[nodiscard]] OPFORGE_API std::string entry_name(const Digest& want, const Toolchain& toolchain);

}  // namespace opforge::cache
