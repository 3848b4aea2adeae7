// What one layer holds, as explain() asks for it. Private.
#pragma once

#include <opforge/cache/cache.hpp>
#include <opforge/cache/directory_store.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace opforge::builder {

class LayerEntries {
public:
    /// Read once, here; every artifact is hashed.
    explicit LayerEntries(const cache::LayerSpec& layer);
    /// The user's own. @throws CacheError where it cannot be read
    explicit LayerEntries(cache::DirectoryStore& directory);
    // The index points into the entries, which a move leaves where they are.
    LayerEntries(const LayerEntries&) = delete;
    LayerEntries& operator=(const LayerEntries&) = delete;
    LayerEntries(LayerEntries&&) = default;
    LayerEntries& operator=(LayerEntries&&) = default;
    ~LayerEntries() = default;

    [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
    [[nodiscard]] bool sealed() const noexcept { return sealed_; }
    /// Why lookups pass it over; empty: they do not.
    [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

    /// Those that are sound, of the request's op and program.
    [[nodiscard]] const std::vector<const cache::Listed*>&
    of_program(const cache::Request& request) const;
    /// One under the request's own key that a lookup would refuse; null: none.
    [[nodiscard]] const cache::Listed* unsound(const cache::Request& request) const;

private:
    void index();

    std::filesystem::path root_;
    bool sealed_ = false;
    std::string fault_;
    std::vector<cache::Listed> entries_;
    std::map<std::pair<std::string, std::string>, std::vector<const cache::Listed*>> by_program_;
};

/// In the order in which lookups ask them.
[[nodiscard]] std::vector<LayerEntries> layers_of(cache::Cache& cache);

}  // namespace opforge::builder
