// One read-only layer: looked at once, then asked for entries, or passed over with its reason.
// Any thread. Private.
#pragma once

#include "digest_list.hpp"

#include <opforge/base/fork_safe_mutex.hpp>
#include <opforge/cache/directory_store.hpp>
#include <opforge/cache/layers.hpp>

#include <memory>
#include <optional>
#include <string>

namespace opforge::cache {

class Layer {
public:
    Layer(LayerSpec spec, FileSystem& files) : spec_(std::move(spec)), files_(files) {}

    /// The layer's store; null where it is passed over. Opened by the first call.
    [[nodiscard]] DirectoryStore* store();
    /// Why it is passed over; empty before the first call of store(), and where it serves.
    [[nodiscard]] std::string fault() const;
    [[nodiscard]] bool sealed() const;
    [[nodiscard]] const LayerSpec& spec() const noexcept { return spec_; }

private:
    void open();

    LayerSpec spec_;
    FileSystem& files_;
    mutable ForkSafeMutex mutex_;
    bool opened_ = false;
    std::string fault_;
    std::shared_ptr<const DigestList> list_;  // of a sealed one
    std::optional<DirectoryStore> store_;
};

/// The digest list of the root's layer; null where it is not sealed.
/// @throws CacheError, ManifestFault
[[nodiscard]] std::shared_ptr<const DigestList>
read_digest_list(FileSystem& files, const std::filesystem::path& root, bool shared,
                 const std::optional<Digest>& expected);

}  // namespace opforge::cache
