// `opforge cache list`: what there is.
#include "command_cache.hpp"

#include <opforge/base/bytes.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <array>

namespace opforge::tools {
namespace {

constexpr VerbText kText{"list", "The entries: op, program, target, what built them, size, age",
                         "  opforge cache list\n"
                         "  opforge cache list --json --cache-dir /opt/kernels\n"};

CommandResult list(const Session& session) {
    const auto cache = session.open_cache();
    const std::vector<cache::Listed> entries = listed_entries(*cache, false);
    std::vector<std::vector<std::string>> rows = {
        {"name", "op", "program", "target", "built by", "size", "age"}};
    CommandResult result;
    result.data = {{"root", cache->root().path.string()}, {"entries", Json::array()}};
    std::uint64_t size_bytes = 0;
    std::string bad;
    for (const cache::Listed& entry : entries) {
        result.data["entries"].push_back(entry_json(entry));
        size_bytes += entry.size_bytes;
        if (!entry.manifest) {
            bad += fmt::format("bad {}: {}\n", entry.name, entry.reason);
            continue;
        }
        const cache::Manifest& manifest = *entry.manifest;
        rows.push_back({entry.name.substr(0, 12), manifest.request.op, manifest.request.program,
                        manifest.request.target, toolchain_text(manifest.toolchain),
                        format_size(entry.size_bytes), format_age(age_seconds(entry))});
    }
    constexpr std::array<std::size_t, 2> kRight = {5, 6};
    result.text = rows.size() > 1 ? format_table(rows, kRight) : std::string();
    result.text += printable(bad);
    result.text += fmt::format("{} entries, {} in {}\n", entries.size(), format_size(size_bytes),
                               root_text(cache->root()));
    result.data["bytes"] = size_bytes;
    return result;
}

}  // namespace

void add_cache_list(CLI::App& cache, Session& session) {
    add_verb(cache, session, kText).callback([&session] {
        session.action = [&session] { return list(session); };
    });
}

}  // namespace opforge::tools
