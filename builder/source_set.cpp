#include "include_scan.hpp"

#include <opforge/base/error.hpp>
#include <opforge/builder/source_set.hpp>
#include <opforge/cache/digest.hpp>

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

namespace opforge::builder {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostBytes = std::uintmax_t{16} << 20U;

// "a/../b.cuh" and "./b.cuh" are "b.cuh"; what leads out of the set keeps its "..", and is found
// nowhere.
std::string plain_name(const std::string& name) {
    return fs::path(name).lexically_normal().generic_string();
}

struct File {
    std::string text;  // as it is compiled: its includes under their full names
    std::string sha256;
    std::set<std::string> includes;  // full names
};

}  // namespace

SourceText read_source(const fs::path& path, std::string name) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path, error);
    if (error) {
        throw InvalidArgument(
            fmt::format("read kernel text {}: {}", path.string(), error.message()));
    }
    if (size > kMostBytes) {
        throw InvalidArgument(fmt::format("read kernel text {}: it has {} bytes, more than {}",
                                          path.string(), size, kMostBytes));
    }
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file) {
        throw InvalidArgument(fmt::format("read kernel text {}: it cannot be read", path.string()));
    }
    return {name.empty() ? path.filename().string() : std::move(name), std::move(text)};
}

struct SourceSet::Files {
    std::map<std::string, std::string> given;  // headers, by name
    std::vector<fs::path> directories;
    std::map<std::string, File> headers;  // reached, by name
    std::map<std::string, File> sources;
    std::vector<std::string> source_order;

    // Addresses into the maps above, which no longer change.
    std::vector<std::vector<EmbeddedFile>> closures;
    std::vector<EmbeddedSource> embedded_sources;
    EmbeddedSources embedded;

    /// The full name of a header, whose text is then in `headers`; nullopt where there is none.
    std::optional<std::string> find(const IncludeLine& include, const std::string& includer) {
        if (include.quoted) {
            const std::string beside =
                plain_name((fs::path(includer).parent_path() / include.name).generic_string());
            for (const std::string& name : {beside, plain_name(include.name)}) {
                if (headers.contains(name)) {
                    return name;
                }
                if (const auto found = given.find(name); found != given.end()) {
                    add_header(name, found->second, false);
                    return name;
                }
            }
            if (auto found = find_in_directories(beside)) {
                return found;
            }
        }
        return find_in_directories(plain_name(include.name));
    }

    std::optional<std::string> find_in_directories(const std::string& name) {
        if (name.empty() || name.front() == '/' || name.starts_with("..")) {
            return std::nullopt;  // absolute paths and what lies outside would not be the same
                                  // elsewhere
        }
        if (headers.contains(name)) {
            return name;
        }
        for (const fs::path& directory : directories) {
            std::error_code error;
            if (fs::is_regular_file(directory / name, error)) {
                add_header(name, read_source(directory / name).text, true);
                return name;
            }
        }
        return std::nullopt;
    }

    void add_header(const std::string& name, std::string text, bool from_directory) {
        headers[name];  // before its own includes: headers may include each other in a ring
        File file = scan(name, std::move(text), from_directory);
        headers[name] = std::move(file);
    }

    File scan(const std::string& name, std::string text, bool from_directory) {
        File file;
        std::string compiled;
        std::size_t copied = 0;
        for (const IncludeLine& include : scan_includes(text)) {
            const std::optional<std::string> found =
                include.name.empty() ? std::nullopt : find(include, name);
            if (!found && from_directory) {
                continue;
            }
            if (!found) {
                refuse(name, include);
            }
            file.includes.insert(*found);
            // NVRTC looks a name up as it is written, never beside the includer.
            compiled.append(text, copied, include.begin - copied).append(*found);
            copied = include.begin + include.name.size();
        }
        compiled.append(text, copied);
        file.sha256 = cache::sha256(std::string_view(compiled)).hex();
        file.text = std::move(compiled);
        return file;
    }

    [[noreturn]] void refuse(const std::string& name, const IncludeLine& include) const {
        if (include.name.empty()) {
            throw InvalidArgument(fmt::format(
                "{}:{}: only #include \"name\" and <name> can be followed", name, include.line));
        }
        std::string places;
        for (const auto& [header, text] : given) {
            places += (places.empty() ? "" : ", ") + header;
        }
        for (const fs::path& directory : directories) {
            places += (places.empty() ? "" : ", ") + directory.string() + "/";
        }
        throw InvalidArgument(fmt::format("{}:{}: #include {}{}{} is not found. Kernel text is "
                                          "hermetic: pass the header's text, or "
                                          "the directory that has it. Looked in: {}",
                                          name, include.line, include.quoted ? '"' : '<',
                                          include.name, include.quoted ? '"' : '>',
                                          places.empty() ? "nothing" : places));
    }

    [[nodiscard]] std::vector<EmbeddedFile> closure(const File& source) const {
        std::set<std::string> reached;
        std::vector<std::string> pending(source.includes.begin(), source.includes.end());
        while (!pending.empty()) {
            const std::string name = std::move(pending.back());
            pending.pop_back();
            if (reached.insert(name).second) {
                const File& header = headers.at(name);
                pending.insert(pending.end(), header.includes.begin(), header.includes.end());
            }
        }
        std::vector<EmbeddedFile> files;
        for (const std::string& name : reached) {
            const auto found = headers.find(name);
            files.push_back({found->first, found->second.text, found->second.sha256});
        }
        return files;
    }

    void publish() {
        closures.reserve(source_order.size());
        for (const std::string& name : source_order) {
            const auto found = sources.find(name);
            closures.push_back(closure(found->second));
            embedded_sources.push_back(
                {{found->first, found->second.text, found->second.sha256}, closures.back()});
        }
        embedded.sources = embedded_sources;
    }
};

SourceSet::SourceSet(SourceFiles files) : files_(std::make_unique<Files>()) {
    files_->directories = std::move(files.header_directories);
    for (const fs::path& directory : files_->directories) {
        std::error_code error;
        if (!fs::is_directory(directory, error)) {
            throw InvalidArgument(
                fmt::format("kernel text: {} is not a directory of headers", directory.string()));
        }
    }
    std::set<std::string> names;
    const auto take_name = [&](const std::string& given) {
        std::string name = plain_name(given);
        if (name.empty() || !names.insert(name).second) {
            throw InvalidArgument(
                fmt::format("kernel text: two files have the name `{}`, or it is empty", given));
        }
        return name;
    };
    for (SourceText& header : files.headers) {
        files_->given.emplace(take_name(header.name), std::move(header.text));
    }
    for (SourceText& source : files.sources) {
        files_->source_order.push_back(take_name(source.name));
        files_->sources.emplace(
            files_->source_order.back(),
            files_->scan(files_->source_order.back(), std::move(source.text), false));
    }
    files_->publish();
}

SourceSet::SourceSet(SourceSet&&) noexcept = default;
SourceSet& SourceSet::operator=(SourceSet&&) noexcept = default;
SourceSet::~SourceSet() = default;

const EmbeddedSources& SourceSet::embedded() const noexcept {
    return files_->embedded;
}

}  // namespace opforge::builder
