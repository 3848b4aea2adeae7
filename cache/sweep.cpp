#include "sweep.hpp"

#include "canonical_json.hpp"
#include "judgement.hpp"

#include <opforge/base/log_sink.hpp>

#include <chrono>
#include <cstdlib>

namespace opforge::cache {
namespace {

constexpr std::int64_t kStagingAge =
    std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::hours(1)).count();
// Made before the clock was set back; nobody is at work on it either.
constexpr std::int64_t kFuture =
    std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::hours(24)).count();

bool is_abandoned(const FileStatus& status, std::int64_t now) {
    const std::int64_t age = now - status.modified_nanoseconds;
    return age > kStagingAge || age < -kFuture;
}

// "v0", "v12" and the like of a layout before ours.
bool is_old_layout(const std::string& name) {
    if (name.size() < 2 || name.size() > 9 || name[0] != 'v' ||
        name.find_first_not_of("0123456789", 1) != std::string::npos) {
        return false;
    }
    return std::strtol(name.c_str() + 1, nullptr, 10) < kLayoutVersion;
}

// Removes of `directory` what `chosen` says; a name that is gone meanwhile is not counted.
template <typename Chosen>
std::uint64_t remove_chosen(const SecureDirectory& directory, Run run, Chosen chosen) {
    std::uint64_t count = 0;
    for (const std::string& name : directory.list()) {
        const auto fault = judge([&] {
            if (!chosen(name)) {
                return;
            }
            if (run == Run::real) {
                directory.remove(name);
            }
            ++count;
        });
        if (fault && fault->refusal != Refusal::absent) {
            log(LogLevel::debug, fault->reason);
        }
    }
    return count;
}

template <typename Step>
std::uint64_t counted(Step step) {
    std::uint64_t count = 0;
    const auto fault = judge([&] { count = step(); });
    if (fault && fault->refusal != Refusal::absent) {
        log(LogLevel::debug, fault->reason);
    }
    return count;
}

// The manifest's schema number; nullopt where it has none to be read.
std::optional<std::int64_t> schema_of(const SecureDirectory& entry) {
    const OpenFile file = entry.open_file(kManifestFile);
    if (file.status.size_bytes > kMaxManifestBytes) {
        return std::nullopt;
    }
    const Bytes bytes = entry.read(file);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes read as characters
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!json_fault(text, kMaxManifestDepth).empty()) {
        return std::nullopt;
    }
    const Json document = Json::parse(text);
    const auto schema = document.is_object() ? document.find("schema") : document.end();
    if (schema == document.end() || !schema->is_number_integer()) {
        return std::nullopt;
    }
    return schema->get<std::int64_t>();
}

}  // namespace

std::uint64_t sweep_staging(const StoreContext& store, Run run) {
    return counted([&] {
        const std::int64_t now = store.files.now_nanoseconds();
        const SecureDirectory tmp = store.open_version().open(kStagingFolder);
        return remove_chosen(tmp, run, [&](const std::string& name) {
            return is_abandoned(tmp.status_of(name), now);
        });
    });
}

std::uint64_t sweep_old_layouts(const StoreContext& store, Run run) {
    return counted([&] { return remove_chosen(store.open_root(), run, is_old_layout); });
}

std::vector<std::string> entries_of_old_schemas(const StoreContext& store,
                                                const std::vector<std::string>& names) {
    std::vector<std::string> old;
    for (const std::string& name : names) {
        static_cast<void>(judge([&] {
            const auto schema = schema_of(store.open_shard(name).open(name));
            if (schema && *schema < kSchema) {
                old.push_back(name);
            }
        }));
    }
    return old;
}

std::uint64_t empty_quarantine(const StoreContext& store, Run run) {
    return counted([&] {
        return remove_chosen(store.open_version().open(kQuarantineFolder), run,
                             [](const std::string&) { return true; });
    });
}

}  // namespace opforge::cache
