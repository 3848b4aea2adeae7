#include "session.hpp"

#include <unistd.h>

#include <filesystem>

namespace opforge::tools {

cache::CacheOptions Session::cache_options() const {
    cache::CacheOptions options;
    if (!cache_dir.empty()) {
        // A relative path is meant from where the user stands; workers and messages need the whole.
        options.directory = std::filesystem::absolute(cache_dir);
    }
    return options;
}

std::shared_ptr<cache::Cache> Session::open_cache() const {
    return cache_dir.empty() ? cache::process_cache()
                             : std::make_shared<cache::Cache>(cache_options());
}

bool Session::color_output() const {
    return !json && use_color(parse_color_choice(color), ColorEnvironment::of_process(),
                              ::isatty(STDOUT_FILENO) == 1);
}

bool Session::color_errors() const {
    return use_color(parse_color_choice(color), ColorEnvironment::of_process(),
                     ::isatty(STDERR_FILENO) == 1);
}

builder::BuilderContext Session::builder_context() const {
    builder::BuilderContext context;
    context.cache = open_cache();
    context.tool = command_line.empty() ? program : command_line.front();
    return context;
}

std::string is_value(const std::string& value) {
    if (value.empty()) {
        return "its value is empty";
    }
    if (value.size() > 1 && value.front() == '-') {
        return "its value is missing: " + value + " is an option (a path may begin with ./)";
    }
    return "";
}

}  // namespace opforge::tools
