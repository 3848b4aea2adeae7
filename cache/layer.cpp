#include "layer.hpp"

#include "judgement.hpp"
#include "secure_directory.hpp"
#include "store_layout.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <mutex>
#include <utility>

namespace opforge::cache {
namespace {

std::string_view as_text(const Bytes& bytes) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes read as characters
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What a file call gives for a path that is not there advises on the cache's own directory.
std::string not_there(const std::filesystem::path& root) {
    return fmt::format("open {}: it, or its folder {}, is not there; put a layer there (`opforge "
                       "cache seal` makes one), or take it out of OPFORGE_LAYERS",
                       root.string(), kVersionFolder);
}

}  // namespace

std::shared_ptr<const DigestList> read_digest_list(FileSystem& files,
                                                   const std::filesystem::path& root, bool shared,
                                                   const std::optional<Digest>& expected) {
    const SecureDirectory top =
        SecureDirectory::open_root(files, root, shared ? Trust::shared : Trust::own);
    static_cast<void>(top.check_directory(kVersionFolder));
    const std::filesystem::path path = root / kDigestListFile;
    if (!top.status_if_there(kDigestListFile)) {
        if (expected) {
            throw ManifestFault(Refusal::malformed,
                                "the layer is not sealed, and cannot be held against sha256=; seal "
                                "it with `opforge cache seal`",
                                path);
        }
        return nullptr;
    }
    const OpenFile file = top.open_file(kDigestListFile);
    if (file.status.size_bytes > kMaxDigestListBytes) {
        throw ManifestFault(Refusal::malformed,
                            fmt::format("its {} bytes are above the cap of {}",
                                        file.status.size_bytes, kMaxDigestListBytes),
                            path);
    }
    const Bytes bytes = top.read(file);
    if (expected && sha256(bytes) != *expected) {
        throw ManifestFault(Refusal::wrong_digest,
                            fmt::format("its SHA-256 is {}, and sha256= asks for {}",
                                        sha256(bytes).hex(), expected->hex()),
                            path);
    }
    try {
        return std::make_shared<const DigestList>(DigestList::parse(as_text(bytes)));
    } catch (const ManifestFault& fault) {
        throw ManifestFault(fault.refusal(), fault.reason(), path);
    }
}

void Layer::open() {
    opened_ = true;
    if (!spec_.fault.empty()) {
        fault_ = spec_.fault;
        return;
    }
    if (const auto judgement = judge(
            [&] { list_ = read_digest_list(files_, spec_.path, spec_.shared, spec_.sha256); })) {
        fault_ = judgement->refusal == Refusal::absent ? not_there(spec_.path) : judgement->reason;
        return;
    }
    StoreOptions options;
    options.read_only = true;
    options.shared = spec_.shared;
    if (list_) {
        options.vouch = [list = list_](const std::string& name,
                                       std::span<const std::byte> manifest_file,
                                       const Manifest& manifest) {
            return list->fault_of(name, manifest_file, manifest.artifact);
        };
    }
    store_.emplace(spec_.path, files_, std::move(options));
}

DirectoryStore* Layer::store() {
    const std::lock_guard lock(mutex_);
    if (!opened_) {
        open();
    }
    return store_ ? &*store_ : nullptr;
}

std::string Layer::fault() const {
    const std::lock_guard lock(mutex_);
    return fault_;
}

bool Layer::sealed() const {
    const std::lock_guard lock(mutex_);
    return list_ != nullptr;
}

}  // namespace opforge::cache
