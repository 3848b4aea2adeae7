// Why a manifest or an artifact was turned down, as the store files it. Private: callers see an
// IntegrityError.
#pragma once

#include <opforge/cache/directory_store.hpp>
#include <opforge/cache/errors.hpp>

#include <string>
#include <string_view>

namespace opforge::cache {

class ManifestFault : public IntegrityError {
public:
    ManifestFault(Refusal refusal, const std::string& reason)
        : IntegrityError({}, reason), refusal_(refusal) {}
    [[nodiscard]] Refusal refusal() const noexcept { return refusal_; }

private:
    Refusal refusal_;
};

/// A manifest with the want digest that it was checked against.
struct IdentifiedManifest {
    Manifest manifest;
    Digest want;
};
/// @throws ManifestFault
[[nodiscard]] IdentifiedManifest parse_identified_manifest(std::string_view text);

}  // namespace opforge::cache
