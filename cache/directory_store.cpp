#include "entry_reader.hpp"
#include "housekeeping.hpp"
#include "judgement.hpp"
#include "listing.hpp"
#include "network_file_system.hpp"
#include "patience.hpp"
#include "publish.hpp"
#include "quarantine.hpp"
#include "store_context.hpp"
#include "sweep.hpp"

#include <opforge/cache/directory_store.hpp>

#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

namespace opforge::cache {
namespace {

// How often a lookup starts anew when another process moves the entry under it.
constexpr int kAttempts = 4;

std::string no_entry(const std::filesystem::path& root, const std::string& name) {
    return fmt::format("no entry {} in {}", name, root.string());
}

// Whether another look may soon find what this one did not.
bool may_be_late(const StoreContext& store, const Judgement& judgement, Lateness lateness) {
    if (judgement.code == ESTALE) {
        return true;
    }
    const bool is_missing = judgement.missing_part || (judgement.refusal == Refusal::absent &&
                                                       lateness == Lateness::expected);
    bool on_network = false;
    if (is_missing) {
        static_cast<void>(
            judge([&] { on_network = is_on_network(store.files, store.open_root()); }));
    }
    return on_network;
}

ReadManifest identified(const EntryReader& reader, const Request& wanted,
                        const Toolchain& toolchain) {
    ReadManifest read = reader.manifest();
    check_identity(read.manifest, wanted, read.file.path);
    if (read.manifest.toolchain != toolchain) {
        throw ManifestFault(Refusal::wrong_target, "another toolchain made it", read.file.path);
    }
    return read;
}

}  // namespace

std::string_view to_string(Refusal refusal) noexcept {
    switch (refusal) {
    case Refusal::absent:
        return "absent";
    case Refusal::unreadable:
        return "unreadable";
    case Refusal::insecure:
        return "insecure";
    case Refusal::malformed:
        return "malformed";
    case Refusal::wrong_digest:
        return "wrong_digest";
    case Refusal::wrong_target:
        return "wrong_target";
    case Refusal::unacceptable:
        break;
    }
    return "unacceptable";
}

struct DirectoryStore::Implementation {
    StoreContext store;
    Housekeeping housekeeping{store};

    struct Look {
        std::shared_ptr<const Entry> entry;
        std::optional<Judgement> judgement;  // where there is no entry
        bool was_there = false;              // the entry's folder
    };
    [[nodiscard]] Look look(const Request& wanted, const std::string& name,
                            const Toolchain& toolchain, const Acceptable& acceptable) const;
    [[nodiscard]] Found find_any_once(const Request& request, const std::string& want,
                                      const Acceptable& acceptable, DirectoryStore& owner);
    void stamp(const OpenFile& manifest) const;
    void check_seal(const std::string& name, const ReadManifest& read) const;
    static void count(Found& found, const Judgement& judgement);
    std::filesystem::path put(const Manifest& manifest, std::span<const std::byte> artifact,
                              IfTaken if_taken);
    [[nodiscard]] std::string quarantine_remedy(Moved moved) const;
};

DirectoryStore::DirectoryStore(std::filesystem::path root, FileSystem& files, StoreOptions options)
    : implementation_(new Implementation{{files, std::move(root), std::move(options)}}) {}

DirectoryStore::~DirectoryStore() = default;

const std::filesystem::path& DirectoryStore::root() const noexcept {
    return implementation_->store.root;
}

const StoreOptions& DirectoryStore::options() const noexcept {
    return implementation_->store.options;
}

Tally DirectoryStore::evicted() const noexcept {
    return implementation_->housekeeping.evicted();
}

DirectoryStore::Found DirectoryStore::find(const Request& request, const Toolchain& toolchain,
                                           const Acceptable& acceptable) {
    return find(request, want_digest(request), toolchain, acceptable);
}

// One try to read an entry and to find nothing wrong with it.
DirectoryStore::Implementation::Look
DirectoryStore::Implementation::look(const Request& wanted, const std::string& name,
                                     const Toolchain& toolchain,
                                     const Acceptable& acceptable) const {
    Look look;
    look.judgement = judge([&] {
        const SecureDirectory root = store.open_root();
        const EntryReader reader = EntryReader::below_root(root, name);
        look.was_there = true;
        ReadManifest read = identified(reader, wanted, toolchain);
        if (acceptable && !acceptable(read.manifest)) {
            throw ManifestFault(Refusal::unacceptable, "it is sound, but cannot be used here",
                                read.file.path);
        }
        check_seal(name, read);
        auto entry = std::make_shared<Entry>();
        entry->artifact = reader.artifact(read.manifest);
        entry->sealed = store.options.vouch != nullptr;
        stamp(read.file);
        entry->manifest = std::move(read.manifest);
        entry->directory = reader.path();
        look.entry = std::move(entry);
    });
    return look;
}

// Notes that the entry was of use. At most hourly, so that a warm start writes nothing; a stamp
// from the future (the clock was set back) is put right.
void DirectoryStore::Implementation::stamp(const OpenFile& manifest) const {
    constexpr std::int64_t kHour =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::hours(1)).count();
    if (store.options.read_only || !is_writable(manifest.status)) {
        return;
    }
    const std::int64_t now = store.files.now_nanoseconds();
    const std::int64_t age = now - manifest.status.modified_nanoseconds;
    if (age <= kHour && age >= -kHour) {
        return;
    }
    try {
        store.files.set_times(manifest.descriptor.get(), now);
    } catch (const std::system_error& error) {
        // Read-only, or root's: the entry serves all the same.
        log(LogLevel::debug, fmt::format("stamp {}: {}", manifest.path.string(), error.what()));
    }
}

void DirectoryStore::Implementation::check_seal(const std::string& name,
                                                const ReadManifest& read) const {
    if (!store.options.vouch) {
        return;
    }
    if (const std::string fault = store.options.vouch(name, read.bytes, read.manifest);
        !fault.empty()) {
        throw ManifestFault(Refusal::wrong_digest, fault, read.file.path);
    }
}

void DirectoryStore::Implementation::count(Found& found, const Judgement& judgement) {
    found.refusal = judgement.refusal;
    found.reason = judgement.reason;
    ++found.refused;
    ++found.refused_by.at(static_cast<std::size_t>(judgement.refusal));
}

std::string DirectoryStore::Implementation::quarantine_remedy(Moved moved) const {
    if (moved == Moved::yes) {
        return "moved to quarantine, and built anew where it is needed";
    }
    return store.options.read_only ? "skipped; make this layer anew"
                                   : "it cannot be moved away: remove it";
}

DirectoryStore::Found DirectoryStore::find(const Request& request, const Digest& want,
                                           const Toolchain& toolchain, const Acceptable& acceptable,
                                           Lateness lateness) {
    StoreContext& store = implementation_->store;
    const Request wanted = canonical(request);
    const std::string name = entry_name(want, toolchain);
    Patience patience(store.files);
    Found found;
    found.reason = no_entry(store.root, name);
    for (int attempt = 0; attempt < kAttempts;) {
        Implementation::Look look = implementation_->look(wanted, name, toolchain, acceptable);
        if (look.entry) {
            found.entry = std::move(look.entry);
            found.reason.clear();
            return found;
        }
        const Judgement& judgement = *look.judgement;
        if (may_be_late(store, judgement, lateness) && patience.wait()) {
            continue;
        }
        const bool went_away = judgement.refusal == Refusal::absent && look.was_there;
        const auto is_still_bad = [&](const EntryReader& reader) {
            return is_judged_bad([&] {
                static_cast<void>(reader.artifact(identified(reader, wanted, toolchain).manifest));
            });
        };
        const Moved moved = is_bad(judgement.refusal) ? quarantine_judged(store, name, is_still_bad)
                                                      : Moved::failed;
        if (went_away || moved == Moved::replaced) {
            ++attempt;
            continue;
        }
        if (judgement.refusal != Refusal::absent) {
            Implementation::count(found, judgement);
        }
        if (is_bad(judgement.refusal)) {
            found.reason += "; " + implementation_->quarantine_remedy(moved);
            found.quarantined += moved == Moved::yes ? 1U : 0U;
        }
        return found;
    }
    return found;
}

DirectoryStore::Found DirectoryStore::find_any(const Request& request, const Acceptable& acceptable,
                                               Lateness lateness) {
    StoreContext& store = implementation_->store;
    const std::string want = want_digest(request).hex();
    Patience patience(store.files);
    for (;;) {
        Found found = implementation_->find_any_once(request, want, acceptable, *this);
        const Judgement judgement{found.refusal, {}};
        if (found.entry || !may_be_late(store, judgement, lateness) || !patience.wait()) {
            return found;
        }
    }
}

DirectoryStore::Found DirectoryStore::Implementation::find_any_once(const Request& request,
                                                                    const std::string& want,
                                                                    const Acceptable& acceptable,
                                                                    DirectoryStore& owner) {
    Found found;
    found.reason = no_entry(store.root, want + ".*");
    struct Candidate {
        std::string name;
        Toolchain toolchain;
    };
    std::vector<Candidate> candidates;
    std::optional<SecureDirectory> shard;
    std::vector<std::string> names;
    if (const auto judgement = judge([&] {
            shard.emplace(store.open_shard(want));
            names = shard->list();
        })) {
        if (judgement->refusal != Refusal::absent) {
            count(found, *judgement);
        }
        return found;
    }
    // First the manifests alone, to find the order; find() then judges, and heals, one candidate at
    // a time.
    for (const std::string& name : names) {
        if (!is_entry_name(name) || !name.starts_with(want)) {
            continue;
        }
        Candidate candidate{name, {}};
        const auto judgement = judge([&] {
            candidate.toolchain = EntryReader::in_shard(*shard, name).manifest().manifest.toolchain;
        });
        if (!judgement) {
            candidates.push_back(std::move(candidate));
            continue;
        }
        if (judgement->refusal == Refusal::absent) {
            continue;
        }
        count(found, *judgement);
        if (is_bad(judgement->refusal)) {
            const Moved moved = quarantine_judged(store, name, [](const EntryReader& reader) {
                return is_judged_bad([&] { static_cast<void>(reader.manifest()); });
            });
            found.quarantined += moved == Moved::yes ? 1U : 0U;
            found.reason += "; " + quarantine_remedy(moved);
        }
    }
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return std::tie(b.toolchain.major, b.toolchain.minor, a.name) <
               std::tie(a.toolchain.major, a.toolchain.minor, b.name);
    });
    for (const Candidate& candidate : candidates) {
        Found one = owner.find(request, candidate.toolchain, acceptable);
        one.refused += found.refused;
        for (std::size_t i = 0; i < kRefusals; ++i) {
            one.refused_by.at(i) += found.refused_by.at(i);
        }
        one.quarantined += found.quarantined;
        found = std::move(one);
        if (found.entry) {
            return found;
        }
    }
    return found;
}

std::optional<std::chrono::microseconds>
DirectoryStore::recorded_compile_time(const Digest& want) noexcept {
    std::optional<std::chrono::microseconds> longest;
    try {
        const std::string hex = want.hex();
        const SecureDirectory shard = implementation_->store.open_shard(hex);
        for (const std::string& name : shard.list()) {
            if (!is_entry_name(name) || !name.starts_with(hex)) {
                continue;
            }
            static_cast<void>(judge([&] {
                const std::chrono::microseconds time(
                    EntryReader::in_shard(shard, name).manifest().manifest.compile_microseconds);
                longest = std::max(longest.value_or(time), time);
            }));
        }
    } catch (const std::exception& error) {
        log(LogLevel::debug, error.what());
    }
    return longest;
}

std::filesystem::path DirectoryStore::publish(const Manifest& manifest,
                                              std::span<const std::byte> artifact) {
    return implementation_->put(manifest, artifact, IfTaken::keep_the_old);
}

std::filesystem::path DirectoryStore::replace(const Manifest& manifest,
                                              std::span<const std::byte> artifact) {
    return implementation_->put(manifest, artifact, IfTaken::replace);
}

std::filesystem::path DirectoryStore::Implementation::put(const Manifest& manifest,
                                                          std::span<const std::byte> artifact,
                                                          IfTaken if_taken) {
    const std::uint64_t cap = store.options.limits.max_bytes;
    if (cap != 0 && artifact.size() > cap) {
        throw CacheError("publish " + manifest.request.program + " in", store.root,
                         std::make_error_code(std::errc::file_too_large),
                         fmt::format("its {} bytes are above the cache's cap of {}; raise "
                                     "OPFORGE_CACHE_MAX_SIZE",
                                     artifact.size(), cap));
    }
    std::filesystem::path path = publish_entry(store, manifest, artifact, if_taken);
    housekeeping.keep_within_limits(artifact.size());
    return path;
}

bool DirectoryStore::quarantine(const std::string& name) {
    if (!is_entry_name(name)) {
        throw InvalidArgument(fmt::format(
            "quarantine: '{}' is not an entry's name (64 hex digits, a dot, 12 hex digits)", name));
    }
    try {
        const SecureDirectory shard = implementation_->store.open_shard(name);
        if (implementation_->store.options.read_only || !is_writable(shard.status())) {
            return false;  // a layer's: it is passed over instead
        }
        return move_to_quarantine(implementation_->store, shard, name, shard.status_of(name));
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
        return false;
    }
}

std::vector<Listed> DirectoryStore::list(bool deep) {
    return list_entries(implementation_->store, deep);
}

Removal DirectoryStore::prune(bool dry_run, const std::optional<Limits>& limits) {
    Housekeeping& housekeeping = implementation_->housekeeping;
    return housekeeping.prune(limits.value_or(implementation_->store.options.limits),
                              dry_run ? Run::dry : Run::real);
}

Removal DirectoryStore::clear(bool dry_run) {
    return implementation_->housekeeping.clear(dry_run ? Run::dry : Run::real);
}

Leftovers DirectoryStore::leftovers() {
    return implementation_->housekeeping.leftovers();
}

void DirectoryStore::sweep() {
    static_cast<void>(sweep_staging(implementation_->store, Run::real));
    static_cast<void>(sweep_old_layouts(implementation_->store, Run::real));
}

}  // namespace opforge::cache
