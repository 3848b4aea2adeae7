// Putting an entry into a store: staged, synced, and visible by one rename. Private.
#pragma once

#include "store_context.hpp"

#include <opforge/cache/manifest.hpp>

#include <cstddef>
#include <filesystem>
#include <span>

namespace opforge::cache {

enum class IfTaken { keep_the_old, replace };

/// @throws CacheError where the disk refuses, InvalidArgument where the manifest does not fit the
/// artifact.
std::filesystem::path publish_entry(StoreContext& store, const Manifest& manifest,
                                    std::span<const std::byte> artifact, IfTaken if_taken);

/// The root, its tag and its version's folder, made where missing. @throws CacheError
[[nodiscard]] SecureDirectory open_or_create_version(const StoreContext& store);

}  // namespace opforge::cache
