// Why a manifest or an artifact was turned down, as the store files it. Private: callers see an
// IntegrityError.
#pragma once

#include <opforge/cache/directory_store.hpp>
#include <opforge/cache/errors.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace opforge::cache {

class ManifestFault : public IntegrityError {
public:
    ManifestFault(Refusal refusal, const std::string& reason, std::filesystem::path path = {})
        : IntegrityError(std::move(path), reason), refusal_(refusal) {}
    [[nodiscard]] Refusal refusal() const noexcept { return refusal_; }

private:
    Refusal refusal_;
};

/// A file is missing from an entry that is there.
class MissingPart : public ManifestFault {
public:
    explicit MissingPart(std::filesystem::path path)
        : ManifestFault(Refusal::malformed, "it is missing", std::move(path)) {}
};

/// A manifest with the want digest that it was checked against.
struct IdentifiedManifest {
    Manifest manifest;
    Digest want;
};
/// @throws ManifestFault
[[nodiscard]] IdentifiedManifest parse_identified_manifest(std::string_view text);

}  // namespace opforge::cache
