#include "session.hpp"

namespace opforge::tools {

cache::CacheOptions Session::cache_options() const {
    cache::CacheOptions options;
    if (!cache_dir.empty()) {
        options.directory = cache_dir;
    }
    return options;
}

std::shared_ptr<cache::Cache> Session::open_cache() const {
    return cache_dir.empty() ? cache::process_cache()
                             : std::make_shared<cache::Cache>(cache_options());
}

builder::BuilderContext Session::builder_context() const {
    builder::BuilderContext context;
    context.cache = open_cache();
    return context;
}

std::string not_empty(const std::string& value) {
    return value.empty() ? "its value is empty" : "";
}

}  // namespace opforge::tools
