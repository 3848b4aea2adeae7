// What vouches for a sealed layer: the digest of every file of every entry, in the form that
// sha256sum(1) writes and checks. Private.
#pragma once

#include <opforge/cache/digest.hpp>
#include <opforge/cache/manifest.hpp>

#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace opforge::cache {

inline constexpr const char* kDigestListFile = "SHA256SUMS";
// Two lines of 170 bytes for each of twenty thousand entries are seven.
inline constexpr std::size_t kMaxDigestListBytes = std::size_t{64} << 20U;

class DigestList {
public:
    /// Lines "<64 hex>  <path>", sorted by path, each path once.
    /// @throws ManifestFault that says which line is wrong
    [[nodiscard]] static DigestList parse(std::string_view text);

    void add(const std::string& entry_name, const Digest& manifest_file, const Artifact& artifact);
    [[nodiscard]] std::string text() const;

    /// Why these are not the files that were sealed; empty: they are.
    [[nodiscard]] std::string fault_of(const std::string& entry_name,
                                       std::span<const std::byte> manifest_file,
                                       const Artifact& artifact) const;
    [[nodiscard]] const std::set<std::string>& entries() const noexcept { return entries_; }

private:
    void add(std::string path, const Digest& digest);

    std::map<std::string, Digest, std::less<>> by_path_;
    std::set<std::string> entries_;
};

}  // namespace opforge::cache
