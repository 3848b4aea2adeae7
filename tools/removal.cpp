#include "removal.hpp"

#include <opforge/base/bytes.hpp>

#include <fmt/format.h>

namespace opforge::tools {
namespace {

Json tally_json(const cache::Tally& tally) {
    return {{"entries", tally.entries}, {"bytes", tally.bytes}};
}

}  // namespace

CommandResult removal_result(const cache::Removal& removal, const cache::CacheRoot& root,
                             bool dry_run) {
    CommandResult result;
    result.data = {{"root", root.path.string()},
                   {"dry_run", dry_run},
                   {"removed", tally_json(removal.removed)},
                   {"kept", tally_json(removal.kept)},
                   {"staging", removal.staging},
                   {"quarantined", removal.quarantined},
                   {"old_layouts", removal.old_layouts}};
    result.text = fmt::format("{} {} entries, {}; {} entries, {} stay\n",
                              dry_run ? "would remove" : "removed", removal.removed.entries,
                              format_size(removal.removed.bytes), removal.kept.entries,
                              format_size(removal.kept.bytes));
    const auto line = [&](std::uint64_t count, const char* what) {
        if (count > 0) {
            result.text +=
                fmt::format("{} {} {}\n", dry_run ? "would remove" : "removed", count, what);
        }
    };
    line(removal.staging, "abandoned staging folders and notes");
    line(removal.quarantined, "entries in quarantine");
    line(removal.old_layouts, "folders of older versions of opforge");
    return result;
}

}  // namespace opforge::tools
