// `opforge cache list|show|verify`: what the cache holds, and whether it is sound.
#include "file_errors.hpp"
#include "session.hpp"

#include <opforge/base/bytes.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <memory>

namespace opforge::tools {
namespace {

constexpr VerbText kText{
    "cache", "List, show and verify the cached kernels",
    "  opforge cache list            what there is\n"
    "  opforge cache show 3f2a       one entry's manifest, by the start of its name\n"
    "  opforge cache verify          hash everything; exit code 1 if anything is bad\n"};
constexpr VerbText kListText{"list", "The entries: op, program, target, what built them, size, age",
                             "  opforge cache list\n"
                             "  opforge cache list --json --cache-dir /opt/kernels\n"};
constexpr VerbText kShowText{
    "show", "One entry's whole manifest",
    "  opforge cache show 3f2a       by any start of its name that is its alone\n"};
constexpr VerbText kVerifyText{"verify",
                               "Check every manifest and hash every artifact; changes nothing",
                               "  opforge cache verify          exit code 1, and the names of the "
                               "bad entries, if any is bad\n"};

// Nothing where there is no folder, or none yet.
std::vector<cache::Listed> listed(cache::Cache& cache, bool deep) {
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

CommandResult list(const Session& session) {
    const auto cache = session.open_cache();
    const std::vector<cache::Listed> entries = listed(*cache, false);
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

CommandResult show(const std::string& prefix, const Session& session) {
    const auto cache = session.open_cache();
    const std::vector<cache::Listed> entries = listed(*cache, true);
    const cache::Listed* found = nullptr;
    std::size_t matches = 0;
    for (const cache::Listed& entry : entries) {
        if (entry.name.starts_with(prefix)) {
            found = &entry;
            ++matches;
        }
    }
    if (matches != 1) {
        throw InputError(cache->root().path,
                         fmt::format("{} entries have a name that begins with \"{}\"; opforge "
                                     "cache list shows the names",
                                     matches == 0 ? "no" : std::to_string(matches), prefix));
    }
    CommandResult result;
    result.data = entry_json(*found);
    if (!found->manifest) {
        result.code = ExitCode::check_failed;
        result.problems.push_back(
            {"IntegrityError", fmt::format("{}: {}", found->directory.string(), found->reason)});
        return result;
    }
    result.data["manifest"] = Json::parse(cache::to_canonical_json(*found->manifest));
    result.text =
        fmt::format("{}\n{}\n", found->directory.string(), result.data["manifest"].dump(2));
    return result;
}

CommandResult verify(const Session& session) {
    const auto cache = session.open_cache();
    const std::vector<cache::Listed> entries = listed(*cache, true);
    CommandResult result;
    std::uint64_t size_bytes = 0;
    Json bad = Json::array();
    for (const cache::Listed& entry : entries) {
        size_bytes += entry.size_bytes;
        if (!entry.manifest) {
            bad.push_back(entry_json(entry));
            result.problems.push_back({"IntegrityError", entry.reason, entry.name});
        }
    }
    result.code = bad.empty() ? ExitCode::done : ExitCode::check_failed;
    result.text = fmt::format("{} entries verified, {} bad; {} in {}\n", entries.size(), bad.size(),
                              format_size(size_bytes), root_text(cache->root()));
    result.data = {{"root", cache->root().path.string()},
                   {"entries", entries.size()},
                   {"bytes", size_bytes},
                   {"bad", std::move(bad)}};
    return result;
}

}  // namespace

void add_cache(CLI::App& app, Session& session) {
    CLI::App& verb = add_verb(app, session, kText);
    verb.require_subcommand(1);
    add_verb(verb, session, kListText).callback([&session] {
        session.action = [&session] { return list(session); };
    });
    CLI::App& show_verb = add_verb(verb, session, kShowText);
    const auto prefix = std::make_shared<std::string>();
    show_verb.add_option("ENTRY", *prefix, "The start of an entry's name")
        ->option_text(" ")
        ->required();
    show_verb.callback([prefix, &session] {
        session.action = [prefix, &session] { return show(*prefix, session); };
    });
    add_verb(verb, session, kVerifyText).callback([&session] {
        session.action = [&session] { return verify(session); };
    });
}

}  // namespace opforge::tools
