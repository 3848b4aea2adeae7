#include "canonical_json.hpp"

#include <opforge/cache/cache_key.hpp>

#include <algorithm>
#include <utility>

namespace opforge::cache {

namespace {
// 48 bits tell apart the few toolchains one machine sees; the manifest's full digest vouches for
// the rest.
constexpr std::size_t kToolchainHexCharacters = 12;
}  // namespace

Request canonical(Request request) {
    std::sort(request.headers.begin(), request.headers.end(),
              [](const HeaderDigest& a, const HeaderDigest& b) { return a.name < b.name; });
    std::sort(request.options.begin(), request.options.end());
    std::sort(request.defines.begin(), request.defines.end());
    std::sort(request.kernels.begin(), request.kernels.end());
    return request;
}

std::string canonical_inputs(const Request& request) {
    return inputs_text(request);
}

std::string canonical_toolchain(const Toolchain& toolchain) {
    return toolchain_text(toolchain);
}

Digest want_digest(const Request& request) {
    return sha256(canonical_inputs(request));
}

Digest full_digest(const Request& request, const Toolchain& toolchain) {
    return full_digest(canonical_identity(request, toolchain));
}

std::string entry_name(const Digest& want, const Toolchain& toolchain) {
    return want.hex() + '.' +
           sha256(canonical_toolchain(toolchain)).hex().substr(0, kToolchainHexCharacters);
}

}  // namespace opforge::cache
