#include "eviction.hpp"

#include "judgement.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <tuple>

namespace opforge::cache {
namespace {

constexpr std::int64_t kClockTolerance =
    std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::hours(24)).count();

// Of an entry in a shard that is open; one of which a part is missing counts with what is there.
StoredEntry look_at(const SecureDirectory& shard, const std::string& name, std::int64_t now) {
    StoredEntry entry{name, 0, 0};
    std::int64_t stamp = 0;
    if (const auto manifest = shard.status_if_there(name + '/' + kManifestFile)) {
        stamp = manifest->modified_nanoseconds;
        entry.size_bytes = manifest->size_bytes;
    }
    for (const char* kind : {"cubin", "ptx"}) {
        if (const auto artifact = shard.status_if_there(name + '/' + artifact_file(kind))) {
            entry.size_bytes += artifact->size_bytes;
            break;
        }
    }
    entry.used_nanoseconds = believed_stamp(stamp, now);
    return entry;
}

}  // namespace

std::int64_t believed_stamp(std::int64_t stamp_nanoseconds, std::int64_t now_nanoseconds) noexcept {
    if (stamp_nanoseconds > now_nanoseconds + kClockTolerance) {
        return 0;
    }
    return std::min(stamp_nanoseconds, now_nanoseconds);
}

std::vector<StoredEntry> entries_by_use(const StoreContext& store) {
    std::vector<StoredEntry> all;
    std::optional<SecureDirectory> entries;
    if (const auto missing =
            judge([&] { entries.emplace(store.open_version().open(kEntriesFolder)); })) {
        if (missing->refusal != Refusal::absent) {
            throw CacheError("list", store.root, {missing->code, std::generic_category()},
                             missing->reason);
        }
        return all;
    }
    const std::int64_t now = store.files.now_nanoseconds();
    for (const std::string& shard_name : entries->list()) {
        // What cannot be looked at is not ours to count.
        static_cast<void>(judge([&] {
            const SecureDirectory shard = entries->open(shard_name);
            for (const std::string& name : shard.list()) {
                if (is_entry_name(name) && shard_of(name) == shard_name) {
                    static_cast<void>(judge([&] { all.push_back(look_at(shard, name, now)); }));
                }
            }
        }));
    }
    std::sort(all.begin(), all.end(), [](const StoredEntry& a, const StoredEntry& b) {
        return std::tie(a.used_nanoseconds, a.name) < std::tie(b.used_nanoseconds, b.name);
    });
    return all;
}

std::size_t count_above(const std::vector<StoredEntry>& entries, const Limits& limits) noexcept {
    std::uint64_t bytes = 0;
    for (const StoredEntry& entry : entries) {
        bytes += entry.size_bytes;
    }
    std::size_t count = 0;
    for (const StoredEntry& entry : entries) {
        const bool too_many =
            limits.max_entries != 0 && entries.size() - count > limits.max_entries;
        const bool too_large = limits.max_bytes != 0 && bytes > limits.max_bytes;
        if (!too_many && !too_large) {
            break;
        }
        bytes -= entry.size_bytes;
        ++count;
    }
    return count;
}

bool evict(StoreContext& store, const std::string& name) {
    try {
        const SecureDirectory version = store.open_version();
        const SecureDirectory tmp = version.open_or_create(kStagingFolder);
        const SecureDirectory shard = version.open(kEntriesFolder).open(shard_of(name));
        const std::string aside = store.unique_name();
        shard.move(name, tmp, aside);
        remove_quietly(tmp, aside);
        return true;
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
        return false;
    }
}

}  // namespace opforge::cache
