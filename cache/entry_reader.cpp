#include "entry_reader.hpp"

#include "manifest_fault.hpp"
#include "store_context.hpp"
#include "store_layout.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <string_view>
#include <utility>

namespace opforge::cache {

EntryReader::EntryReader(const SecureDirectory& base, std::string relative, std::string name)
    : base_(base), relative_(std::move(relative)), name_(std::move(name)),
      status_(base_.check_directory(relative_)) {}

// From the root down: nobody but those we trust can change what is in a directory that has passed,
// so that each check holds for the opens that follow.
EntryReader EntryReader::below_root(const SecureDirectory& root, const std::string& entry_name) {
    const std::string relative = relative_path_of(entry_name);
    for (std::size_t end = relative.find('/'); end != std::string::npos;
         end = relative.find('/', end + 1)) {
        static_cast<void>(root.check_directory(relative.substr(0, end)));
    }
    return {root, relative, entry_name};
}

EntryReader EntryReader::in_shard(const SecureDirectory& shard, const std::string& entry_name) {
    return {shard, entry_name, entry_name};
}

EntryReader EntryReader::held(const SecureDirectory& entry, const std::string& entry_name) {
    return {entry, ".", entry_name};
}

OpenFile EntryReader::open_part(const std::string& file) const {
    try {
        return base_.open_file(relative_ + '/' + file);
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
        const auto now = base_.status_if_there(relative_);
        if (now && same_file(*now, status_)) {
            throw MissingPart(path() / file);
        }
        throw;  // evicted or replaced since
    }
}

ReadManifest EntryReader::manifest() const {
    OpenFile file = open_part(kManifestFile);
    if (file.status.size_bytes > kMaxManifestBytes) {
        throw ManifestFault(Refusal::malformed,
                            fmt::format("its {} bytes are above the cap of {}",
                                        file.status.size_bytes, kMaxManifestBytes),
                            file.path);
    }
    Bytes bytes = base_.read(file);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes read as characters
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    try {
        IdentifiedManifest parsed = parse_identified_manifest(text);
        if (entry_name(parsed.want, parsed.manifest.toolchain) != name_) {
            throw ManifestFault(Refusal::wrong_target, "it is another entry's manifest");
        }
        return {std::move(parsed.manifest), std::move(file), std::move(bytes)};
    } catch (const ManifestFault& fault) {
        throw ManifestFault(fault.refusal(), fault.reason(), file.path);
    }
}

OpenFile EntryReader::open_artifact(const Manifest& manifest) const {
    OpenFile file = open_part(artifact_file(manifest.artifact.kind));
    if (file.status.size_bytes != manifest.artifact.size_bytes) {
        throw ManifestFault(Refusal::wrong_digest,
                            fmt::format("it has {} bytes, the manifest says {}",
                                        file.status.size_bytes, manifest.artifact.size_bytes),
                            file.path);
    }
    return file;
}

Bytes EntryReader::artifact(const Manifest& manifest) const {
    const OpenFile file = open_artifact(manifest);
    Bytes bytes = base_.read(file);
    if (sha256(bytes) != manifest.artifact.sha256) {
        throw ManifestFault(Refusal::wrong_digest, "it does not hash to what the manifest says",
                            file.path);
    }
    return bytes;
}

void check_identity(const Manifest& manifest, const Request& wanted,
                    const std::filesystem::path& path) {
    // Equal names mean equal digests; equal fields leave nothing to trust in.
    if (manifest.request != wanted) {
        throw ManifestFault(Refusal::wrong_target, "its inputs are not those asked for", path);
    }
}

}  // namespace opforge::cache
