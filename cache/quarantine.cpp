#include "quarantine.hpp"

#include "judgement.hpp"

#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace opforge::cache {
namespace {

constexpr std::size_t kQuarantineKept = 16;

// Sorts by time, so that the oldest is the first.
std::string quarantine_name(StoreContext& store, const std::string& name) {
    return fmt::format("{:016x}-{}.{}", store.files.now_nanoseconds(), store.unique_name(), name);
}

void trim(const SecureDirectory& folder) {
    std::vector<std::string> names;
    // The next one to come trims again.
    static_cast<void>(judge([&] { names = folder.list(); }));
    std::sort(names.begin(), names.end());
    for (std::size_t i = 0; i + kQuarantineKept < names.size(); ++i) {
        remove_quietly(folder, names[i]);
    }
}

}  // namespace

bool move_to_quarantine(StoreContext& store, const SecureDirectory& shard, const std::string& name,
                        const FileStatus& judged) {
    try {
        if (!same_file(shard.status_of(name), judged)) {
            return false;
        }
        const SecureDirectory folder = store.open_version().open_or_create(kQuarantineFolder);
        const std::string resting = quarantine_name(store, name);
        shard.move(name, folder, resting);
        if (!same_file(folder.status_of(resting), judged)) {
            // Back with it; where a newer one has come meanwhile, that serves as well.
            static_cast<void>(judge([&] { folder.move(resting, shard, name); }));
            return false;
        }
        trim(folder);
        return true;
    } catch (const CacheError& error) {
        if (error.code().value() == ENOENT) {
            return false;
        }
        throw;
    }
}

Moved quarantine_judged(StoreContext& store, const std::string& name,
                        const std::function<bool(const EntryReader&)>& is_still_bad) {
    try {
        const SecureDirectory shard = store.open_shard(name);
        if (store.options.read_only || !is_writable(shard.status())) {
            return Moved::failed;
        }
        const SecureDirectory held = shard.open(name);
        return is_still_bad(EntryReader::held(held, name)) &&
                       move_to_quarantine(store, shard, name, held.status())
                   ? Moved::yes
                   : Moved::replaced;
    } catch (const CacheError& error) {
        log(LogLevel::info, error.what());
        return error.code().value() == ENOENT ? Moved::replaced : Moved::failed;
    }
}

}  // namespace opforge::cache
