#include "command_cache.hpp"
#include "file_errors.hpp"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>

namespace opforge::tools {

std::vector<cache::Listed> listed_entries(cache::Cache& cache, bool deep) {
    if (cache.directory() == nullptr || !std::filesystem::exists(cache.root().path)) {
        return {};
    }
    return cache.directory()->list(deep);
}

double age_seconds(const cache::Listed& entry) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto modified = std::chrono::nanoseconds(entry.modified_nanoseconds);
    return std::chrono::duration<double>(now - modified).count();
}

std::string format_age(double seconds) {
    if (seconds < 120) {
        return fmt::format("{:.0f} s", seconds);
    }
    if (seconds < 7200) {
        return fmt::format("{:.0f} min", seconds / 60);
    }
    if (seconds < 172800) {
        return fmt::format("{:.0f} h", seconds / 3600);
    }
    return fmt::format("{:.0f} days", seconds / 86400);
}

std::string toolchain_text(const cache::Toolchain& toolchain) {
    return fmt::format("{} {}.{}", toolchain.name, toolchain.major, toolchain.minor);
}

Json entry_json(const cache::Listed& entry) {
    Json json = {{"name", entry.name},
                 {"path", entry.directory.string()},
                 {"bytes", entry.size_bytes},
                 {"age_seconds", age_seconds(entry)},
                 {"sound", entry.manifest.has_value()}};
    if (entry.manifest) {
        const cache::Manifest& manifest = *entry.manifest;
        json["op"] = manifest.request.op;
        json["program"] = manifest.request.program;
        json["target"] = manifest.request.target;
        json["toolchain"] = toolchain_text(manifest.toolchain);
    } else {
        json["reason"] = entry.reason;
    }
    return json;
}

std::string root_text(const cache::CacheRoot& root) {
    return root.path.empty() ? "no cache folder" : root.path.string();
}

std::filesystem::path existing_folder(const std::string& given) {
    std::filesystem::path path = std::filesystem::absolute(given).lexically_normal();
    if (!path.has_filename() && path.has_relative_path()) {
        path = path.parent_path();  // a slash at the end
    }
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) {
        throw InputError(path, "there is no such folder");
    }
    if (!std::filesystem::is_directory(status)) {
        throw InputError(path, "it is not a folder");
    }
    return path;
}

}  // namespace opforge::tools
