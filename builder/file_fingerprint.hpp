// What tells one build of a shared library from another without reading all of it: NVRTC is 109 MB.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace opforge::builder {

/// The ELF build-id in hexadecimal, else "size-<bytes>-<SHA-256 of the first and last 64 KiB>".
struct FileFingerprint {
    std::string text;     // empty: `problem` says why
    std::string problem;  // not readable, not a shared library of this machine
};
[[nodiscard]] FileFingerprint read_fingerprint(const std::filesystem::path& file);

/// Fingerprints of libraries without a build-id, remembered in <cache root>/v1/toolchains.json by
/// the file's device, inode, modification time and size, so that a warm start need not hash. A
/// damaged or foreign file counts as absent; a write that fails is forgotten. One thread at a time.
class RememberedFingerprints {
public:
    /// An empty root remembers nothing. Nothing is read before the first use.
    explicit RememberedFingerprints(std::filesystem::path cache_root);

    [[nodiscard]] FileFingerprint of(const std::filesystem::path& file);
    /// Writes what is new since the last time, by one rename.
    void save() noexcept;

private:
    void load();

    std::filesystem::path cache_root_;
    std::map<std::string, std::string> known_;
    bool loaded_ = false;
    bool changed_ = false;
};

}  // namespace opforge::builder
