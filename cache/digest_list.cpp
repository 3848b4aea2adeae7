#include "digest_list.hpp"

#include "manifest_fault.hpp"
#include "store_layout.hpp"

#include <fmt/format.h>

#include <utility>

namespace opforge::cache {
namespace {

constexpr std::size_t kDigitCount = 64;
constexpr std::string_view kSeparator = "  ";

std::string manifest_path(const std::string& entry_name) {
    return relative_path_of(entry_name) + '/' + kManifestFile;
}

std::string artifact_path(const std::string& entry_name, const Artifact& artifact) {
    return relative_path_of(entry_name) + '/' + artifact_file(artifact.kind);
}

// The entry that a path of the list belongs to; empty where it is not a file of an entry.
std::string entry_of(std::string_view path) {
    const std::size_t end = path.rfind('/');
    const std::size_t begin = end == std::string_view::npos ? end : path.rfind('/', end - 1);
    if (begin == std::string_view::npos) {
        return {};
    }
    const std::string_view name = path.substr(begin + 1, end - begin - 1);
    const bool fits =
        is_entry_name(name) && path.substr(0, end) == std::string_view(relative_path_of(name));
    return fits ? std::string(name) : std::string();
}

}  // namespace

DigestList DigestList::parse(std::string_view text) {
    DigestList list;
    std::string_view last;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto refuse = [&](std::string_view why) {
            return ManifestFault(Refusal::malformed, fmt::format("line {} {}", number, why));
        };
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) {
            throw refuse("has no end");
        }
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 1);
        const auto digest = Digest::from_hex(line.substr(0, kDigitCount));
        if (!digest || line.substr(kDigitCount, kSeparator.size()) != kSeparator) {
            throw refuse("does not begin with a SHA-256 and two spaces");
        }
        const std::string_view path = line.substr(kDigitCount + kSeparator.size());
        if (entry_of(path).empty()) {
            throw refuse("names no file of an entry");
        }
        if (path <= last) {
            throw refuse("is not in order");
        }
        last = path;
        list.add(std::string(path), *digest);
    }
    return list;
}

void DigestList::add(std::string path, const Digest& digest) {
    entries_.insert(entry_of(path));
    by_path_.insert_or_assign(std::move(path), digest);
}

void DigestList::add(const std::string& entry_name, const Digest& manifest_file,
                     const Artifact& artifact) {
    add(manifest_path(entry_name), manifest_file);
    add(artifact_path(entry_name, artifact), artifact.sha256);
}

std::string DigestList::text() const {
    std::string text;
    for (const auto& [path, digest] : by_path_) {
        text += fmt::format("{}{}{}\n", digest.hex(), kSeparator, path);
    }
    return text;
}

std::string DigestList::fault_of(const std::string& entry_name,
                                 std::span<const std::byte> manifest_file,
                                 const Artifact& artifact) const {
    const auto manifest = by_path_.find(manifest_path(entry_name));
    const auto kernels = by_path_.find(artifact_path(entry_name, artifact));
    if (manifest == by_path_.end() || kernels == by_path_.end()) {
        return fmt::format("the layer's {} does not list it", kDigestListFile);
    }
    if (manifest->second != sha256(manifest_file) || kernels->second != artifact.sha256) {
        return fmt::format("it is not what the layer's {} lists", kDigestListFile);
    }
    return {};
}

}  // namespace opforge::cache
