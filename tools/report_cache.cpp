// The report's cache folder and layers.
#include "folder_facts.hpp"
#include "report.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/cache/layer_contents.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <unistd.h>
#include <utility>

namespace opforge::tools {
namespace {

std::string owner_text(const FolderFacts& facts) {
    return facts.owner_name.empty() ? fmt::format("user {}", facts.owner)
                                    : fmt::format("{} ({})", facts.owner_name, facts.owner);
}

std::string facts_text(const FolderFacts& facts) {
    return fmt::format(
        "{}, owner {}, mode {:04o}, {} free{}",
        facts.file_system.empty() ? "unknown file system" : facts.file_system, owner_text(facts),
        facts.mode, facts.free_bytes ? format_size(*facts.free_bytes) : "unknown",
        facts.exists ? "" : fmt::format("; not there yet, below {}", facts.present.string()));
}

Json facts_json(const FolderFacts& facts) {
    return {{"exists", facts.exists},
            {"file_system", facts.file_system},
            {"network", facts.is_network},
            {"owner", facts.owner},
            {"owner_name", facts.owner_name},
            {"mode", fmt::format("{:04o}", facts.mode)},
            {"writable", facts.writable},
            {"free_bytes", facts.free_bytes ? Json(*facts.free_bytes) : Json(nullptr)}};
}

Check writable_check(const std::string& root, const FolderFacts& facts) {
    if (facts.writable) {
        return {"cache.writable", Verdict::ok, root};
    }
    return {"cache.writable", Verdict::failed,
            fmt::format("nothing can be kept in {}: {}: {}", root, facts.present.string(),
                        facts.why_not_writable),
            "give another folder with --cache-dir or OPFORGE_CACHE_DIR, or the right to write; a "
            "read-only cache is a layer: OPFORGE_LAYERS"};
}

// A cubin is code: what others own or could have written is not loaded.
Check owner_check(const FolderFacts& facts) {
    constexpr unsigned kOthersWrite = 022;
    const bool ours = facts.owner == ::geteuid() || facts.owner == 0;
    if (!facts.exists || (ours && (facts.mode & kOthersWrite) == 0)) {
        return {"cache.owner", Verdict::ok, owner_text(facts)};
    }
    return {"cache.owner", Verdict::failed,
            fmt::format("{} is {}'s, mode {:04o}: nothing is loaded from what others own or may "
                        "write",
                        facts.present.string(), owner_text(facts), facts.mode),
            ours ? fmt::format("chmod go-w {}", facts.present.string())
                 : "use a folder of your own; one that is shared on purpose is a layer: "
                   "OPFORGE_LAYERS=PATH;shared"};
}

Check space_check(const FolderFacts& facts) {
    // The quantizer's full set is 3 MB an architecture.
    constexpr std::uint64_t kTight = std::uint64_t{64} << 20U;
    constexpr std::uint64_t kNone = std::uint64_t{1} << 20U;
    if (!facts.free_bytes) {
        return {"cache.space", Verdict::note, "unknown"};
    }
    const Verdict verdict = *facts.free_bytes < kNone    ? Verdict::failed
                            : *facts.free_bytes < kTight ? Verdict::warning
                                                         : Verdict::ok;
    return {"cache.space", verdict, format_size(*facts.free_bytes) + " free",
            verdict == Verdict::ok ? "" : "make room, or give another folder with --cache-dir"};
}

Check file_system_check(const FolderFacts& facts) {
    if (facts.is_network) {
        return {"cache.file_system", Verdict::note,
                facts.file_system + ": a network file system, locks are kept on this machine",
                "a local folder starts faster; ship a sealed layer instead of sharing a cache"};
    }
    if (facts.is_memory) {
        return {"cache.file_system", Verdict::note,
                facts.file_system + ": its entries are gone after a restart"};
    }
    return {"cache.file_system", Verdict::ok, facts.file_system};
}

std::string layer_words(const cache::LayerSpec& layer, const cache::LayerContents& contents) {
    if (!contents.fault.empty()) {
        return "passed over: " + contents.fault;
    }
    const auto sound = static_cast<std::size_t>(
        std::count_if(contents.entries.begin(), contents.entries.end(),
                      [](const cache::Listed& entry) { return entry.manifest.has_value(); }));
    return fmt::format("{} entries{}{}", sound, contents.sealed ? ", sealed" : "",
                       layer.shared ? ", shared" : "");
}

// What an entry is refused for, or the list names and is not there; empty: all is sound.
std::string first_bad(const cache::LayerContents& contents) {
    for (const cache::Listed& entry : contents.entries) {
        if (!entry.manifest) {
            return entry.reason;
        }
    }
    return contents.seal_faults.empty() ? std::string()
                                        : fmt::format("{}: {}", contents.seal_faults[0].subject,
                                                      contents.seal_faults[0].reason);
}

Check layer_check(std::size_t place, const cache::LayerSpec& layer,
                  const cache::LayerContents& contents) {
    const std::string id = fmt::format("cache.layer.{}", place);
    const std::string path = layer.path.string();
    const std::string words = fmt::format("{}: {}", path, layer_words(layer, contents));
    if (!contents.fault.empty()) {
        return {id, Verdict::failed, words,
                "mend the layer, or OPFORGE_LAYERS=PATH[;shared][;sha256=HEX][:PATH...]"};
    }
    if (const std::string bad = first_bad(contents); !bad.empty()) {
        return {
            id, Verdict::failed, fmt::format("{}; not served: {}", words, bad),
            fmt::format("opforge cache verify {} lists what is wrong; make the layer anew", path)};
    }
    if (contents.entries.empty()) {
        return {id, Verdict::warning, words, "fill it with prewarm --cache-dir, or leave it out"};
    }
    return {id, Verdict::ok, words};
}

// The layers, as lookups ask them: before the folder.
void add_layers(Section& section, const cache::Cache& cache) {
    section.data["layers"] = Json::array();
    for (const cache::LayerSpec& layer : cache.layers()) {
        const cache::LayerContents contents = cache::look_into(layer, false);
        const FolderFacts facts = folder_facts(layer.path);
        section.text += fmt::format("layer    {}: {}\n         {}\n", layer.path.string(),
                                    layer_words(layer, contents), facts_text(facts));
        section.checks.push_back(layer_check(section.data["layers"].size(), layer, contents));
        Json json = facts_json(facts);
        json["path"] = layer.path.string();
        json["shared"] = layer.shared;
        json["sealed"] = contents.sealed;
        json["usable"] = contents.fault.empty();
        json["reason"] = contents.fault;
        json["entries"] = contents.entries.size();
        section.data["layers"].push_back(std::move(json));
    }
}

}  // namespace

Section cache_section(const cache::Cache& cache) {
    const cache::CacheRoot& root = cache.root();
    Section section;
    section.data = {{"root", root.path.string()},
                    {"origin", root.origin},
                    {"refusals", root.refusals},
                    {"unusable", nullptr}};
    if (root.path.empty()) {
        section.text = "cache    in memory only\n";
        section.checks.push_back({"cache.root", Verdict::warning,
                                  "none: every process compiles anew",
                                  "set OPFORGE_CACHE_DIR to an absolute path"});
    } else {
        const FolderFacts facts = folder_facts(root.path);
        section.text = fmt::format("cache    {} (from {})\n         {}\n", root.path.string(),
                                   root.origin, facts_text(facts));
        section.checks.push_back({"cache.root", Verdict::ok,
                                  fmt::format("{} (from {})", root.path.string(), root.origin)});
        section.checks.push_back(writable_check(root.path.string(), facts));
        if (facts.writable) {
            section.checks.push_back(owner_check(facts));
            section.checks.push_back(space_check(facts));
            section.checks.push_back(file_system_check(facts));
        } else {
            const std::string refusal = facts.is_folder
                                            ? facts.present.string() + ": " + facts.why_not_writable
                                            : facts.present.string() + " is not a folder";
            section.text += fmt::format("         nothing can be kept there: {}\n", refusal);
            section.data["unusable"] = refusal;
        }
        section.data.update(facts_json(facts));
    }
    for (const std::string& refusal : root.refusals) {
        section.text += fmt::format("         passed over: {}\n", refusal);
    }
    add_layers(section, cache);
    return section;
}

}  // namespace opforge::tools
