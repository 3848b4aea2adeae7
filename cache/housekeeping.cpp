#include "housekeeping.hpp"

#include "judgement.hpp"
#include "network_file_system.hpp"

#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace opforge::cache {
namespace {

Tally tally_of(const std::vector<StoredEntry>& entries) {
    Tally tally;
    for (const StoredEntry& entry : entries) {
        ++tally.entries;
        tally.bytes += entry.size_bytes;
    }
    return tally;
}

}  // namespace

// The entry is published: whatever goes wrong here is the next publisher's to put right.
void Housekeeping::keep_within_limits(std::uint64_t published_bytes) {
    if (!size_watch_.is_due(published_bytes, store_.options.limits)) {
        return;
    }
    const auto fault = judge([&] {
        const std::vector<StoredEntry> entries = entries_by_use(store_);
        std::set<std::string> doomed;
        const std::size_t above = count_above(entries, store_.options.limits);
        for (std::size_t i = 0; i < above; ++i) {
            doomed.insert(entries[i].name);
        }
        static_cast<void>(remove(entries, doomed, Run::real));
    });
    if (fault) {
        log(LogLevel::info, fmt::format("cache: not kept within its limits: {}", fault->reason));
    }
}

Removal Housekeeping::remove(const std::vector<StoredEntry>& entries,
                             const std::set<std::string>& doomed, Run run) {
    std::vector<StoredEntry> gone;
    std::vector<StoredEntry> kept;
    for (const StoredEntry& entry : entries) {
        if (!doomed.contains(entry.name)) {
            kept.push_back(entry);
        } else if (run == Run::dry || evict(store_, entry.name)) {
            gone.push_back(entry);
        }
    }
    Removal removal;
    removal.removed = tally_of(gone);
    removal.kept = tally_of(kept);
    if (run == Run::real) {
        size_watch_.counted(removal.kept);
        size_watch_.evicted(removal.removed);
    }
    return removal;
}

void Housekeeping::refuse_if_sealed() const {
    const SecureDirectory root = store_.open_root();
    const auto version = root.status_if_there(kVersionFolder);
    if (store_.options.read_only || (version && !is_writable(*version))) {
        throw CacheError("remove from", root.path() / kVersionFolder,
                         std::make_error_code(std::errc::read_only_file_system),
                         "it is a sealed layer: remove its whole folder, if that is what is meant");
    }
}

// False where there is no cache. @throws CacheError where it is sealed or cannot be opened
bool Housekeeping::is_there_to_remove_from() const {
    try {
        refuse_if_sealed();
        return true;
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
        return false;
    }
}

Removal Housekeeping::prune(const Limits& limits, Run run) {
    if (!is_there_to_remove_from()) {
        return {};
    }
    const std::vector<StoredEntry> entries = entries_by_use(store_);
    std::vector<std::string> names;
    for (const StoredEntry& entry : entries) {
        names.push_back(entry.name);
    }
    const std::vector<std::string> old = entries_of_old_schemas(store_, names);
    std::set<std::string> doomed(old.begin(), old.end());
    std::vector<StoredEntry> current;
    std::copy_if(entries.begin(), entries.end(), std::back_inserter(current),
                 [&](const StoredEntry& entry) { return !doomed.contains(entry.name); });
    const std::size_t above = count_above(current, limits);
    for (std::size_t i = 0; i < above; ++i) {
        doomed.insert(current[i].name);
    }
    Removal removal = remove(entries, doomed, run);
    removal.staging = sweep_staging(store_, run);
    removal.old_layouts = sweep_old_layouts(store_, run);
    return removal;
}

Removal Housekeeping::clear(Run run) {
    if (!is_there_to_remove_from()) {
        return {};
    }
    const std::vector<StoredEntry> entries = entries_by_use(store_);
    std::set<std::string> doomed;
    for (const StoredEntry& entry : entries) {
        doomed.insert(entry.name);
    }
    Removal removal = remove(entries, doomed, run);
    removal.quarantined = empty_quarantine(store_, run);
    removal.staging = sweep_staging(store_, run);
    removal.old_layouts = sweep_old_layouts(store_, run);
    return removal;
}

Leftovers Housekeeping::leftovers() const {
    Leftovers leftovers;
    const auto count = [&](const char* folder) {
        std::uint64_t number = 0;
        static_cast<void>(
            judge([&] { number = store_.open_version().open(folder).list().size(); }));
        return number;
    };
    leftovers.quarantined = count(kQuarantineFolder);
    leftovers.staging = count(kStagingFolder);
    static_cast<void>(judge([&] {
        leftovers.network_file_system = network_file_system(store_.files, store_.open_root());
    }));
    return leftovers;
}

}  // namespace opforge::cache
