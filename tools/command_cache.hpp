// The verbs of `opforge cache`, each in a file of its name, and what they share.
#pragma once

#include "session.hpp"

#include <opforge/cache/directory_store.hpp>

#include <string>
#include <vector>

namespace opforge::tools {

// Each adds one verb below `cache`.
void add_cache_list(CLI::App& cache, Session& session);
void add_cache_show(CLI::App& cache, Session& session);
void add_cache_verify(CLI::App& cache, Session& session);
void add_cache_stats(CLI::App& cache, Session& session);
void add_cache_prune(CLI::App& cache, Session& session);
void add_cache_clear(CLI::App& cache, Session& session);
void add_cache_seal(CLI::App& cache, Session& session);

/// What the cache's folder holds; nothing where there is no folder, or none yet.
[[nodiscard]] std::vector<cache::Listed> listed_entries(cache::Cache& cache, bool deep);
[[nodiscard]] Json entry_json(const cache::Listed& entry);
[[nodiscard]] double age_seconds(const cache::Listed& entry);
[[nodiscard]] std::string format_age(double seconds);
[[nodiscard]] std::string toolchain_text(const cache::Toolchain& toolchain);
/// The folder's path, or words that there is none.
[[nodiscard]] std::string root_text(const cache::CacheRoot& root);

/// A folder named on the command line: absolute from here on.
/// @throws InputError where it is missing or no folder
[[nodiscard]] std::filesystem::path existing_folder(const std::string& given);

}  // namespace opforge::tools
