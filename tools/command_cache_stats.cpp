// `opforge cache stats`: how much is cached, in which layers, and what of it would not be served.
#include "command_cache.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/base/error.hpp>
#include <opforge/cache/layer_contents.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace opforge::tools {
namespace {

constexpr VerbText kText{"stats", "How much there is, in which layers, and what is wrong with it",
                         "  opforge cache stats\n"
                         "  opforge cache stats --json              for a monitor\n"};

// What a look at one place finds.
struct Place {
    std::string kind;
    std::string path;
    std::string fault;  // why it is passed over; empty: it serves
    bool sealed = false;
    std::uint64_t entries = 0;
    std::uint64_t size_bytes = 0;
    std::map<std::string, std::uint64_t> refused;  // entries that would not be served, by reason
    std::map<std::string, std::uint64_t> by_target;
    double compile_seconds = 0;
    double oldest_use_seconds = 0;
};

void count_entries(const std::vector<cache::Listed>& listed, Place& place) {
    for (const cache::Listed& entry : listed) {
        if (!entry.manifest) {
            ++place.refused[std::string(cache::to_string(entry.refusal))];
            continue;
        }
        ++place.entries;
        place.size_bytes += entry.size_bytes;
        ++place.by_target[entry.manifest->request.target];
        place.compile_seconds += static_cast<double>(entry.manifest->compile_microseconds) / 1e6;
        place.oldest_use_seconds = std::max(place.oldest_use_seconds, age_seconds(entry));
    }
}

Place look_at_layer(const cache::LayerSpec& spec) {
    Place place;
    place.kind = "layer";
    place.path = spec.path.string();
    cache::LayerContents contents = cache::look_into(spec, false);
    place.fault = std::move(contents.fault);
    place.sealed = contents.sealed;
    if (!contents.seal_faults.empty()) {
        place.refused["not_as_sealed"] = contents.seal_faults.size();
        std::erase_if(contents.entries, [&](const cache::Listed& entry) {
            return std::any_of(
                contents.seal_faults.begin(), contents.seal_faults.end(),
                [&](const cache::SealFault& fault) { return fault.subject == entry.name; });
        });
    }
    count_entries(contents.entries, place);
    return place;
}

Place look_at_directory(cache::Cache& cache) {
    Place place;
    place.kind = "user_directory";
    place.path = cache.root().path.string();
    try {
        count_entries(listed_entries(cache, false), place);
    } catch (const Error& error) {
        place.fault = error.what();
    }
    return place;
}

Json place_json(const Place& place) {
    return {{"kind", place.kind},
            {"path", place.path},
            {"usable", place.fault.empty()},
            {"reason", place.fault},
            {"sealed", place.sealed},
            {"entries", place.entries},
            {"bytes", place.size_bytes},
            {"refused", place.refused},
            {"by_target", place.by_target},
            {"compile_seconds", place.compile_seconds},
            {"oldest_use_seconds", place.oldest_use_seconds}};
}

std::string place_text(const Place& place) {
    std::string text = fmt::format("{} {}: ", place.kind == "layer" ? "layer" : "cache",
                                   place.path.empty() ? "(no folder)" : place.path);
    if (!place.fault.empty()) {
        return text + "passed over: " + place.fault + "\n";
    }
    text += fmt::format("{} entries, {}{}, {:.1f} s of compiling\n", place.entries,
                        format_size(place.size_bytes), place.sealed ? ", sealed" : "",
                        place.compile_seconds);
    for (const auto& [reason, count] : place.refused) {
        text += fmt::format("  {} not served: {}\n", count, reason);
    }
    return text;
}

CommandResult stats(const Session& session) {
    const auto cache = session.open_cache();
    CommandResult result;
    Json places = Json::array();
    for (const cache::LayerSpec& spec : cache->layers()) {
        const Place place = look_at_layer(spec);
        places.push_back(place_json(place));
        result.text += place_text(place);
    }
    const Place own = look_at_directory(*cache);
    places.push_back(place_json(own));
    result.text += place_text(own);

    result.data = {{"root", own.path}, {"entries", own.entries}, {"bytes", own.size_bytes}};
    if (cache->directory() != nullptr) {
        const cache::Limits& limits = cache->directory()->options().limits;
        const cache::Leftovers leftovers = cache->directory()->leftovers();
        result.data["max_bytes"] = limits.max_bytes;
        result.data["max_entries"] = limits.max_entries;
        result.data["quarantined"] = leftovers.quarantined;
        result.data["staging"] = leftovers.staging;
        result.data["network_file_system"] = leftovers.network_file_system;
        result.text +=
            fmt::format("  at most {} and {} entries; {} in quarantine, {} in staging\n",
                        limits.max_bytes == 0 ? "any size" : format_size(limits.max_bytes),
                        limits.max_entries, leftovers.quarantined, leftovers.staging);
        if (!leftovers.network_file_system.empty()) {
            result.text += fmt::format("  on {}: the lock is in a local folder\n",
                                       leftovers.network_file_system);
        }
    }
    result.data["layers"] = std::move(places);
    return result;
}

}  // namespace

void add_cache_stats(CLI::App& cache, Session& session) {
    add_verb(cache, session, kText).callback([&session] {
        session.action = [&session] { return stats(session); };
    });
}

}  // namespace opforge::tools
