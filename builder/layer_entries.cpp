#include "layer_entries.hpp"

#include <opforge/cache/layer_contents.hpp>

#include <system_error>

namespace opforge::builder {

LayerEntries::LayerEntries(const cache::LayerSpec& layer) : root_(layer.path) {
    cache::LayerContents contents = cache::look_into(layer, true);
    sealed_ = contents.sealed;
    fault_ = std::move(contents.fault);
    entries_ = std::move(contents.entries);
    index();
}

LayerEntries::LayerEntries(cache::DirectoryStore& directory) : root_(directory.root()) {
    std::error_code ignored;
    // A cache that is not there yet is an empty one.
    if (std::filesystem::exists(root_, ignored)) {
        entries_ = directory.list(true);
    }
    index();
}

void LayerEntries::index() {
    for (const cache::Listed& entry : entries_) {
        if (entry.manifest) {
            const cache::Request& request = entry.manifest->request;
            by_program_[{request.op, request.program}].push_back(&entry);
        }
    }
}

const std::vector<const cache::Listed*>&
LayerEntries::of_program(const cache::Request& request) const {
    static const std::vector<const cache::Listed*> none;
    const auto found = by_program_.find({request.op, request.program});
    return found == by_program_.end() ? none : found->second;
}

const cache::Listed* LayerEntries::unsound(const cache::Request& request) const {
    const std::string want = cache::want_digest(request).hex() + ".";
    for (const cache::Listed& entry : entries_) {
        if (!entry.manifest && entry.name.starts_with(want)) {
            return &entry;
        }
    }
    return nullptr;
}

std::vector<LayerEntries> layers_of(cache::Cache& cache) {
    std::vector<LayerEntries> layers;
    for (const cache::LayerSpec& layer : cache.layers()) {
        layers.emplace_back(layer);
    }
    if (cache.directory() != nullptr) {
        layers.emplace_back(*cache.directory());
    }
    return layers;
}

}  // namespace opforge::builder
