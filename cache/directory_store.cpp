#include "manifest_fault.hpp"
#include "secure_directory.hpp"

#include <opforge/cache/directory_store.hpp>

#include <opforge/base/log_sink.hpp>

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <random>
#include <tuple>
#include <utility>

namespace opforge::cache {
namespace {

constexpr const char* kVersionFolder = "v1";
constexpr const char* kEntriesFolder = "entries";
constexpr const char* kStagingFolder = "tmp";
constexpr const char* kQuarantineFolder = "quarantine";
constexpr const char* kManifestFile = "manifest.json";
constexpr const char* kTagFile = "CACHEDIR.TAG";
// https://bford.info/cachedir/: backup programs skip a directory that holds this.
constexpr std::string_view kTagText =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This directory holds opforge's kernel cache; it may be removed.\n";
constexpr std::size_t kQuarantineKept = 16;
constexpr std::chrono::hours kStagingAge{1};
// How often a lookup or a rename starts anew when another process moves the entry under it.
constexpr int kAttempts = 4;

std::string artifact_file(std::string_view kind) {
    return fmt::format("kernels.{}", kind);
}

std::string shard_of(std::string_view entry_name) {
    return std::string(entry_name.substr(0, 2));
}

bool is_lower_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char character) {
        return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f');
    });
}

// "<64 hex>.<12 hex>": checked before a name from outside becomes part of a path.
bool is_entry_name(std::string_view name) {
    return name.size() == 77 && name[64] == '.' && is_lower_hex(name.substr(0, 64)) &&
           is_lower_hex(name.substr(65));
}

// What a look at an entry came to, where it cannot be served.
struct Judgement {
    Refusal refusal;
    std::string reason;
};

bool is_bad(Refusal refusal) {
    return refusal == Refusal::malformed || refusal == Refusal::wrong_digest ||
           refusal == Refusal::wrong_target;
}

// Runs `step`; nullopt where it went through.
template <typename Step>
std::optional<Judgement> judge(Step step) {
    try {
        step();
        return std::nullopt;
    } catch (const ManifestFault& fault) {
        return Judgement{fault.refusal(), fault.reason()};
    } catch (const InsecureError& error) {
        return Judgement{Refusal::insecure, error.what()};
    } catch (const CacheError& error) {
        return Judgement{error.code().value() == ENOENT ? Refusal::absent : Refusal::unreadable,
                         error.what()};
    }
}

// A file that an entry cannot be without.
OpenFile open_part(const SecureDirectory& entry, const std::string& name) {
    try {
        return entry.open_file(name);
    } catch (const CacheError& error) {
        if (error.code().value() == ENOENT) {
            throw ManifestFault(Refusal::malformed, fmt::format("{} is missing", name));
        }
        throw;
    }
}

struct ReadManifest {
    Manifest manifest;
    FileStatus status;
};

ReadManifest read_manifest(const SecureDirectory& entry, std::string_view name) {
    const OpenFile file = open_part(entry, kManifestFile);
    if (file.status.size_bytes > kMaxManifestBytes) {
        throw ManifestFault(Refusal::malformed,
                            fmt::format("manifest of {} bytes is above the cap of {}",
                                        file.status.size_bytes, kMaxManifestBytes));
    }
    const Bytes bytes = entry.read(file);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes read as characters
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    IdentifiedManifest parsed = parse_identified_manifest(text);
    ReadManifest result{std::move(parsed.manifest), file.status};
    if (entry_name(parsed.want, result.manifest.toolchain) != name) {
        throw ManifestFault(Refusal::wrong_target, "it is another entry's manifest");
    }
    return result;
}

void check_identity(const Manifest& manifest, const Request& wanted) {
    // Equal names mean equal digests; equal fields leave nothing to trust in.
    if (manifest.request != wanted) {
        throw ManifestFault(Refusal::wrong_target, "its inputs are not those asked for");
    }
}

OpenFile open_artifact(const SecureDirectory& entry, const Manifest& manifest) {
    OpenFile file = open_part(entry, artifact_file(manifest.artifact.kind));
    if (file.status.size_bytes != manifest.artifact.size_bytes) {
        throw ManifestFault(Refusal::wrong_digest,
                            fmt::format("the artifact has {} bytes, the manifest says {}",
                                        file.status.size_bytes, manifest.artifact.size_bytes));
    }
    return file;
}

Bytes read_artifact(const SecureDirectory& entry, const Manifest& manifest) {
    const OpenFile file = open_artifact(entry, manifest);
    Bytes bytes = entry.read(file);
    if (sha256(bytes) != manifest.artifact.sha256) {
        throw ManifestFault(Refusal::wrong_digest,
                            "the artifact does not hash to what the manifest says");
    }
    return bytes;
}

bool same_file(const FileStatus& a, const FileStatus& b) {
    return a.device == b.device && a.inode == b.inode;
}

void check_fits(const Manifest& manifest, std::span<const std::byte> artifact) {
    if (manifest.artifact.size_bytes != artifact.size() ||
        manifest.artifact.sha256 != sha256(artifact)) {
        throw InvalidArgument(fmt::format(
            "publish {}: the manifest's size and SHA-256 are not those of the artifact given",
            manifest.request.program));
    }
}

// Cleaning up is a courtesy: where it fails, sweep() gets another chance and the caller's own error
// matters more.
void remove_quietly(const SecureDirectory& parent, const std::string& name) noexcept {
    try {
        parent.remove(name);
    } catch (const std::exception& error) {
        log(LogLevel::debug, error.what());
    }
}

// A folder in tmp that goes away again unless it was moved out.
class Staging {
public:
    Staging(const SecureDirectory& parent, std::string name)
        : parent_(parent), name_(std::move(name)), directory_(made()) {}
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;
    ~Staging() {
        if (!moved_) {
            remove_quietly(parent_, name_);
        }
    }
    [[nodiscard]] const SecureDirectory& directory() const noexcept { return directory_; }
    void move_to(const SecureDirectory& parent, const std::string& name) {
        parent_.move(name_, parent, name);
        moved_ = true;
    }

private:
    [[nodiscard]] SecureDirectory made() const {
        try {
            return parent_.create(name_);
        } catch (...) {
            // No destructor runs for an object that was never complete.
            remove_quietly(parent_, name_);
            throw;
        }
    }

    const SecureDirectory& parent_;
    std::string name_;
    SecureDirectory directory_;
    bool moved_ = false;
};

bool is_taken(const CacheError& error) {
    const int code = error.code().value();
    return code == EEXIST || code == ENOTEMPTY;
}

enum class Moved { yes, replaced, failed };

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
    FileSystem& files;
    const std::filesystem::path& root;
    std::atomic<std::uint64_t> counter{0};

    // Every lookup opens the way down anew, some six cheap calls: a descriptor kept open would go
    // on serving a root that was removed or replaced, and would skip the owner check that each open
    // makes.
    [[nodiscard]] SecureDirectory open_version() const {
        return SecureDirectory::open_root(files, root).open(kVersionFolder);
    }
    [[nodiscard]] SecureDirectory open_shard(const std::string& name) const {
        return open_version().open(kEntriesFolder).open(shard_of(name));
    }

    // Unique on this machine (pid, counter) and, for a shared disk, elsewhere (random).
    [[nodiscard]] std::string unique_name() {
        std::random_device random;
        return fmt::format("{}-{}-{:08x}{:08x}", ::getpid(), counter.fetch_add(1), random(),
                           random());
    }

    // Moves the entry that was judged, and only it: between the look and the move another process
    // may have put a sound one in its place. False: it is not there any more. @throws CacheError.
    [[nodiscard]] bool move_to_quarantine(const SecureDirectory& shard, const std::string& name,
                                          const FileStatus& judged) {
        try {
            if (!same_file(shard.status_of(name), judged)) {
                return false;
            }
            const SecureDirectory folder = open_version().open_or_create(kQuarantineFolder);
            const std::string resting = quarantine_name(name);
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

    // For a lookup, where the disk's refusal is only worth a line.
    [[nodiscard]] Moved quarantine_judged(const SecureDirectory& shard, const std::string& name,
                                          const FileStatus& judged) {
        try {
            return move_to_quarantine(shard, name, judged) ? Moved::yes : Moved::replaced;
        } catch (const CacheError& error) {
            log(LogLevel::info, error.what());
            return Moved::failed;
        }
    }

    // Sorts by time, so that the oldest is the first.
    [[nodiscard]] std::string quarantine_name(const std::string& name) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        return fmt::format("{:016x}-{}.{}",
                           std::chrono::duration_cast<std::chrono::nanoseconds>(now).count(),
                           unique_name(), name);
    }

    static void trim(const SecureDirectory& folder) {
        std::vector<std::string> names;
        // The next one to come trims again.
        static_cast<void>(judge([&] { names = folder.list(); }));
        std::sort(names.begin(), names.end());
        for (std::size_t i = 0; i + kQuarantineKept < names.size(); ++i) {
            remove_quietly(folder, names[i]);
        }
    }

    std::filesystem::path put(const Manifest& manifest, std::span<const std::byte> artifact,
                              bool replace);
    [[nodiscard]] bool serves_already(const SecureDirectory& shard, const std::string& name,
                                      const Request& wanted);
    void swap_in(Staging& staging, const SecureDirectory& tmp, const SecureDirectory& shard,
                 const std::string& name);

    static void write_tag(const SecureDirectory& root_directory) {
        try {
            root_directory.write_file(kTagFile, as_bytes(kTagText));
        } catch (const CacheError& error) {
            if (error.code().value() == EEXIST) {
                return;
            }
            // A half-written tag would never be mended.
            remove_quietly(root_directory, kTagFile);
            throw;
        }
    }
};

DirectoryStore::DirectoryStore(std::filesystem::path root, FileSystem& files)
    : root_(std::move(root)), implementation_(new Implementation{files, root_}) {}

DirectoryStore::~DirectoryStore() = default;

DirectoryStore::Found DirectoryStore::find(const Request& request, const Toolchain& toolchain,
                                           const Acceptable& acceptable) {
    return find(request, want_digest(request), toolchain, acceptable);
}

DirectoryStore::Found DirectoryStore::find(const Request& request, const Digest& want,
                                           const Toolchain& toolchain,
                                           const Acceptable& acceptable) {
    const Request wanted = canonical(request);
    const std::string name = entry_name(want, toolchain);
    Found found;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        std::optional<SecureDirectory> shard;
        std::optional<SecureDirectory> directory;
        auto entry = std::make_shared<Entry>();
        auto judgement = judge([&] {
            shard.emplace(implementation_->open_shard(name));
            directory.emplace(shard->open(name));
            entry->manifest = read_manifest(*directory, name).manifest;
            check_identity(entry->manifest, wanted);
            if (entry->manifest.toolchain != toolchain) {
                throw ManifestFault(Refusal::wrong_target, "another toolchain made it");
            }
        });
        if (!judgement && acceptable && !acceptable(entry->manifest)) {
            judgement = Judgement{Refusal::unacceptable, "sound, but not usable here"};
        }
        if (!judgement) {
            judgement =
                judge([&] { entry->artifact = read_artifact(*directory, entry->manifest); });
        }
        if (!judgement) {
            entry->directory = directory->path();
            found.entry = std::move(entry);
            found.reason.clear();
            return found;
        }
        found.refusal = judgement->refusal;
        found.reason = judgement->refusal == Refusal::absent
                           ? fmt::format("no entry {}", name)
                           : fmt::format("{}: {}", name, judgement->reason);
        if (is_bad(judgement->refusal)) {
            const Moved moved =
                implementation_->quarantine_judged(*shard, name, directory->status());
            if (moved == Moved::replaced) {
                continue;
            }
            found.quarantined += moved == Moved::yes ? 1U : 0U;
        }
        found.refused += judgement->refusal == Refusal::absent ? 0U : 1U;
        return found;
    }
    return found;
}

DirectoryStore::Found DirectoryStore::find_any(const Request& request,
                                               const Acceptable& acceptable) {
    const std::string want = want_digest(request).hex();
    Found found;
    found.reason = fmt::format("no entry {}.*", want);
    struct Candidate {
        std::string name;
        Toolchain toolchain;
    };
    std::vector<Candidate> candidates;
    std::vector<std::string> names;
    if (const auto judgement = judge([&] { names = implementation_->open_shard(want).list(); })) {
        if (judgement->refusal != Refusal::absent) {
            found.refusal = judgement->refusal;
            found.reason = judgement->reason;
            found.refused = 1;
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
            const SecureDirectory shard = implementation_->open_shard(name);
            const SecureDirectory directory = shard.open(name);
            const auto fault = judge(
                [&] { candidate.toolchain = read_manifest(directory, name).manifest.toolchain; });
            if (!fault) {
                return;
            }
            if (is_bad(fault->refusal) &&
                implementation_->quarantine_judged(shard, name, directory.status()) == Moved::yes) {
                ++found.quarantined;
            }
            throw ManifestFault(fault->refusal, fault->reason);
        });
        if (!judgement) {
            candidates.push_back(std::move(candidate));
        } else if (judgement->refusal != Refusal::absent) {
            ++found.refused;
            found.refusal = judgement->refusal;
            found.reason = fmt::format("{}: {}", name, judgement->reason);
        }
    }
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return std::tie(b.toolchain.major, b.toolchain.minor, a.name) <
               std::tie(a.toolchain.major, a.toolchain.minor, b.name);
    });
    for (const Candidate& candidate : candidates) {
        Found one = find(request, candidate.toolchain, acceptable);
        one.refused += found.refused;
        one.quarantined += found.quarantined;
        found = std::move(one);
        if (found.entry) {
            return found;
        }
    }
    return found;
}

std::filesystem::path DirectoryStore::publish(const Manifest& manifest,
                                              std::span<const std::byte> artifact) {
    return implementation_->put(manifest, artifact, false);
}

std::filesystem::path DirectoryStore::replace(const Manifest& manifest,
                                              std::span<const std::byte> artifact) {
    return implementation_->put(manifest, artifact, true);
}

std::filesystem::path DirectoryStore::Implementation::put(const Manifest& manifest,
                                                          std::span<const std::byte> artifact,
                                                          bool replace) {
    check_fits(manifest, artifact);
    const std::string text = to_canonical_json(manifest);
    const Request wanted = canonical(manifest.request);
    const std::string name = entry_name(want_digest(wanted), manifest.toolchain);

    const SecureDirectory top = SecureDirectory::open_or_create_root(files, root);
    write_tag(top);
    const SecureDirectory version = top.open_or_create(kVersionFolder);
    const SecureDirectory tmp = version.open_or_create(kStagingFolder);
    // The directories on the way are not synced: a crash that loses one loses entries, never makes
    // a wrong one.
    const SecureDirectory shard =
        version.open_or_create(kEntriesFolder).open_or_create(shard_of(name));

    // Staged under the same root: rename is atomic only within one file system.
    Staging staging(tmp, unique_name());
    staging.directory().write_file(artifact_file(manifest.artifact.kind), artifact);
    staging.directory().write_file(kManifestFile, as_bytes(text));
    staging.directory().sync();

    if (replace) {
        swap_in(staging, tmp, shard, name);
    } else {
        for (int attempt = 1;; ++attempt) {
            try {
                staging.move_to(shard, name);
                break;
            } catch (const CacheError& error) {
                if (!is_taken(error) || attempt == kAttempts) {
                    throw;
                }
            }
            if (serves_already(shard, name, wanted)) {
                return shard.path() / name;
            }
        }
    }
    shard.sync();
    return shard.path() / name;
}

// An entry is in the way. True: it is as good as ours. False: it is gone, the way is free.
bool DirectoryStore::Implementation::serves_already(const SecureDirectory& shard,
                                                    const std::string& name,
                                                    const Request& wanted) {
    std::optional<SecureDirectory> directory;
    std::string reason;
    try {
        directory.emplace(shard.open(name));
        const Manifest manifest = read_manifest(*directory, name).manifest;
        check_identity(manifest, wanted);
        static_cast<void>(read_artifact(*directory, manifest));
        return true;
    } catch (const ManifestFault& fault) {
        reason = fault.reason();
    } catch (const InsecureError&) {
        throw;
    } catch (const CacheError& error) {
        if (error.code().value() == ENOENT) {
            return false;
        }
        if (!directory) {
            throw;
        }
        // Unreadable counts as bad here: sound bytes are at hand.
        reason = error.what();
    }
    if (quarantine_judged(shard, name, directory->status()) == Moved::failed) {
        throw CacheError(
            "publish over", shard.path() / name, std::make_error_code(std::errc::file_exists),
            fmt::format("the entry there is bad ({}) and cannot be moved away; remove it", reason));
    }
    return false;
}

void DirectoryStore::Implementation::swap_in(Staging& staging, const SecureDirectory& tmp,
                                             const SecureDirectory& shard,
                                             const std::string& name) {
    std::string old;
    for (int attempt = 1;; ++attempt) {
        try {
            staging.move_to(shard, name);
            break;
        } catch (const CacheError& error) {
            if (!is_taken(error)) {
                if (!old.empty() && judge([&] { tmp.move(old, shard, name); })) {
                    remove_quietly(tmp, old);
                }
                throw;
            }
        }
        if (!old.empty()) {
            // Another process filled the gap; its entry gives way too.
            remove_quietly(tmp, old);
            old.clear();
        }
        if (attempt == kAttempts) {
            // Others keep replacing it: what is there now is as new as ours.
            return;
        }
        try {
            // What is not ours alone stays where it is.
            static_cast<void>(shard.open(name));
            std::string aside = unique_name();
            shard.move(name, tmp, aside);
            old = std::move(aside);
        } catch (const CacheError& error) {
            if (error.code().value() != ENOENT) {
                throw;
            }
        }
    }
    if (!old.empty()) {
        remove_quietly(tmp, old);
    }
}

bool DirectoryStore::quarantine(const std::string& name) {
    if (!is_entry_name(name)) {
        throw InvalidArgument(fmt::format(
            "quarantine: '{}' is not an entry's name (64 hex digits, a dot, 12 hex digits)", name));
    }
    try {
        const SecureDirectory shard = implementation_->open_shard(name);
        return implementation_->move_to_quarantine(shard, name, shard.status_of(name));
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
        return false;
    }
}

std::vector<Listed> DirectoryStore::list(bool deep) {
    std::vector<Listed> all;
    std::optional<SecureDirectory> entries;
    try {
        entries.emplace(implementation_->open_version().open(kEntriesFolder));
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
        return all;
    }
    const auto refuse = [&](const std::string& name, const std::filesystem::path& path,
                            std::string reason) {
        Listed listed;
        listed.name = name;
        listed.directory = path;
        listed.reason = std::move(reason);
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
                refuse(shard_name, entries->path() / shard_name, judgement->reason);
            }
            continue;
        }
        for (const std::string& name : names) {
            if (!is_entry_name(name) || shard_of(name) != shard_name) {
                refuse(name, shard->path() / name, "not the name of an entry of this folder");
                continue;
            }
            Listed listed;
            listed.name = name;
            listed.directory = shard->path() / name;
            const auto judgement = judge([&] {
                const SecureDirectory directory = shard->open(name);
                ReadManifest read = read_manifest(directory, name);
                listed.size_bytes = read.status.size_bytes;
                listed.modified_nanoseconds = read.status.modified_nanoseconds;
                if (deep) {
                    static_cast<void>(read_artifact(directory, read.manifest));
                } else {
                    static_cast<void>(open_artifact(directory, read.manifest));
                }
                listed.size_bytes += read.manifest.artifact.size_bytes;
                listed.manifest = std::move(read.manifest);
            });
            if (judgement && judgement->refusal == Refusal::absent) {
                continue;  // gone since the listing
            }
            if (judgement) {
                listed.reason = judgement->reason;
            }
            all.push_back(std::move(listed));
        }
    }
    std::sort(all.begin(), all.end(),
              [](const Listed& a, const Listed& b) { return a.name < b.name; });
    return all;
}

void DirectoryStore::sweep() {
    const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    const auto oldest = now - std::chrono::duration_cast<std::chrono::nanoseconds>(kStagingAge);
    const auto fault = judge([&] {
        const SecureDirectory tmp = implementation_->open_version().open(kStagingFolder);
        for (const std::string& name : tmp.list()) {
            const auto gone = judge([&] {
                if (tmp.status_of(name).modified_nanoseconds < oldest.count()) {
                    tmp.remove(name);
                }
            });
            if (gone && gone->refusal != Refusal::absent) {
                log(LogLevel::debug, gone->reason);
            }
        }
    });
    if (fault && fault->refusal != Refusal::absent) {
        log(LogLevel::debug, fault->reason);
    }
}

}  // namespace opforge::cache
