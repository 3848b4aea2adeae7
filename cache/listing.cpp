#include "listing.hpp"

#include "entry_reader.hpp"
#include "judgement.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

namespace opforge::cache {

std::vector<Listed> list_entries(const StoreContext& store, bool deep) {
    std::vector<Listed> all;
    std::optional<SecureDirectory> entries;
    try {
        entries.emplace(store.open_version().open(kEntriesFolder));
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
        return all;
    }
    const auto refuse = [](Listed& listed, const Judgement& judgement) {
        listed.refusal = judgement.refusal;
        listed.reason = judgement.reason;
        listed.error = judgement.code;
    };
    const auto add_refused = [&](const std::string& name, const std::filesystem::path& path,
                                 const Judgement& judgement) {
        Listed listed;
        listed.name = name;
        listed.directory = path;
        refuse(listed, judgement);
        all.push_back(std::move(listed));
    };
    for (const std::string& shard_name : entries->list()) {
        std::optional<SecureDirectory> shard;
        std::vector<std::string> names;
        if (const auto judgement = judge([&] {
                shard.emplace(entries->open(shard_name));
                names = shard->list();
            })) {
            if (judgement->refusal != Refusal::absent) {
                add_refused(shard_name, entries->path() / shard_name, *judgement);
            }
            continue;
        }
        for (const std::string& name : names) {
            if (!is_entry_name(name) || shard_of(name) != shard_name) {
                add_refused(name, shard->path() / name,
                            {Refusal::malformed, "not the name of an entry of this folder"});
                continue;
            }
            Listed listed;
            listed.name = name;
            listed.directory = shard->path() / name;
            const auto judgement = judge([&] {
                const EntryReader reader = EntryReader::in_shard(*shard, name);
                ReadManifest read = reader.manifest();
                listed.size_bytes = read.file.status.size_bytes;
                listed.modified_nanoseconds = read.file.status.modified_nanoseconds;
                if (deep) {
                    static_cast<void>(reader.artifact(read.manifest));
                } else {
                    static_cast<void>(reader.open_artifact(read.manifest));
                }
                listed.size_bytes += read.manifest.artifact.size_bytes;
                listed.manifest = std::move(read.manifest);
            });
            if (judgement && judgement->refusal == Refusal::absent) {
                continue;  // gone since the listing
            }
            if (judgement) {
                refuse(listed, *judgement);
            }
            all.push_back(std::move(listed));
        }
    }
    std::sort(all.begin(), all.end(),
              [](const Listed& a, const Listed& b) { return a.name < b.name; });
    return all;
}

}  // namespace opforge::cache
