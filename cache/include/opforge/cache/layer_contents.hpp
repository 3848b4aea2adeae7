// What a read-only layer holds, for people and tools to look at: lookups go through Cache. Reads
// only; any thread.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/cache/directory_store.hpp>
#include <opforge/cache/file_system.hpp>
#include <opforge/cache/layers.hpp>
#include <opforge/cache/seal.hpp>

#include <string>
#include <vector>

namespace opforge::cache {

struct LayerContents {
    std::string fault;  // why lookups pass the layer over; empty: they do not
    bool sealed = false;
    std::vector<Listed> entries;         // by name; those that are not as sealed are refused
    std::vector<SealFault> seal_faults;  // these, and what the list has and the layer has not
};

/// With `deep`, artifacts are hashed too. Never throws for what is on the disk.
[[nodiscard]] OPFORGE_API LayerContents look_into(const LayerSpec& layer, bool deep,
                                                  FileSystem& files = posix_file_system());

}  // namespace opforge::cache
