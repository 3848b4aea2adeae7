#include "publish.hpp"

#include "entry_reader.hpp"
#include "judgement.hpp"
#include "network_file_system.hpp"
#include "patience.hpp"
#include "quarantine.hpp"
#include "staging.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

namespace opforge::cache {
namespace {

// https://bford.info/cachedir/: backup programs skip a directory that holds this.
constexpr std::string_view kTagText =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This directory holds opforge's kernel cache; it may be removed.\n";
// How often a rename starts anew when another process moves the entry under it.
constexpr int kAttempts = 4;

void check_fits(const Manifest& manifest, std::span<const std::byte> artifact) {
    if (manifest.artifact.size_bytes != artifact.size() ||
        manifest.artifact.sha256 != sha256(artifact)) {
        throw InvalidArgument(fmt::format(
            "publish {}: the manifest's size and SHA-256 are not those of the artifact given",
            manifest.request.program));
    }
}

bool is_taken(const CacheError& error) {
    const int code = error.code().value();
    return code == EEXIST || code == ENOTEMPTY;
}

void write_tag(const SecureDirectory& root) {
    try {
        root.write_file(kTagFile, as_bytes(kTagText));
    } catch (const CacheError& error) {
        if (error.code().value() == EEXIST) {
            return;
        }
        // A half-written tag would never be mended.
        remove_quietly(root, kTagFile);
        throw;
    }
}

// One entry on its way.
class Publication {
public:
    Publication(StoreContext& store, const Manifest& manifest, std::span<const std::byte> artifact)
        : store_(store), manifest_(manifest), artifact_(artifact),
          text_(to_canonical_json(manifest)), wanted_(canonical(manifest.request)),
          name_(entry_name(want_digest(wanted_), manifest.toolchain)) {}

    std::filesystem::path run(IfTaken if_taken) {
        const SecureDirectory version = open_or_create_version(store_);
        const SecureDirectory tmp = version.open_or_create(kStagingFolder);
        const SecureDirectory shard =
            version.open_or_create(kEntriesFolder).open_or_create(shard_of(name_));
        on_network_ = is_on_network(store_.files, version);

        // Staged under the same root: rename is atomic only within one file system.
        Staging staging(tmp, store_.unique_name());
        staging.directory().write_file(artifact_file(manifest_.artifact.kind), artifact_);
        staging.directory().write_file(kManifestFile, as_bytes(text_));
        staging.directory().sync();
        if (if_taken == IfTaken::replace) {
            swap_in(staging, tmp, shard);
        } else {
            move_in(staging, shard);
        }
        // Also where another writer's entry is in the place: its name need not be on the disk yet,
        // and our caller is told that the entry is kept.
        shard.sync();
        return shard.path() / name_;
    }

private:
    // A rename whose answer was lost on the network may come back as a refusal: it went through if
    // what is in the place is what was staged.
    void rename_into_place(Staging& staging, const SecureDirectory& shard) const {
        try {
            staging.move_to(shard, name_);
        } catch (const CacheError& error) {
            if (!on_network_ || !(is_taken(error) || error.code().value() == ENOENT)) {
                throw;
            }
            const auto there = shard.status_if_there(name_);
            if (!there || !same_file(*there, staging.directory().status())) {
                throw;
            }
            staging.set_moved();
        }
    }

    // After it ours, or another writer's that is as good, is in the place. Where others keep
    // replacing the entry, it goes each time before it is read: what is there in the end is as new
    // as ours, and whoever reads it hashes it.
    void move_in(Staging& staging, const SecureDirectory& shard) {
        for (int attempt = 1;; ++attempt) {
            try {
                rename_into_place(staging, shard);
                return;
            } catch (const CacheError& error) {
                if (!is_taken(error)) {
                    throw;
                }
                if (attempt == kAttempts) {
                    return;
                }
            }
            // On a network the winner's bytes may not be there to be read yet. Ours are at hand,
            // and whoever reads the winner's hashes them.
            if (on_network_ || serves_already(shard)) {
                return;
            }
        }
    }

    // An entry is in the way. True: it is as good as ours. False: it is gone, the way is free.
    bool serves_already(const SecureDirectory& shard) {
        std::string reason;
        const auto is_sound = [&](const EntryReader& reader) {
            try {
                const Manifest manifest = reader.manifest().manifest;
                check_identity(manifest, wanted_, reader.path());
                static_cast<void>(reader.artifact(manifest));
                return true;
            } catch (const ManifestFault& fault) {
                reason = fault.what();
            } catch (const InsecureError&) {
                throw;
            } catch (const CacheError& error) {
                if (error.code().value() == ENOENT) {
                    throw;
                }
                // Unreadable counts as bad here: sound bytes are at hand.
                reason = error.what();
            }
            return false;
        };
        try {
            if (is_sound(EntryReader::in_shard(shard, name_))) {
                return true;
            }
        } catch (const CacheError& error) {
            if (error.code().value() != ENOENT) {
                throw;
            }
            return false;
        }
        const auto is_still_bad = [&](const EntryReader& reader) { return !is_sound(reader); };
        if (quarantine_judged(store_, name_, is_still_bad) == Moved::failed) {
            throw CacheError(
                "publish over", shard.path() / name_, std::make_error_code(std::errc::file_exists),
                fmt::format("the entry there is bad ({}) and cannot be moved away; remove it",
                            reason));
        }
        return false;
    }

    // Where others keep replacing the entry, what is there in the end is as new as ours.
    void swap_in(Staging& staging, const SecureDirectory& tmp, const SecureDirectory& shard) {
        for (int attempt = 1; attempt <= kAttempts; ++attempt) {
            try {
                rename_into_place(staging, shard);
                return;
            } catch (const CacheError& error) {
                if (!is_taken(error)) {
                    throw;
                }
            }
            try {
                // What is not ours alone stays where it is.
                static_cast<void>(shard.open(name_));
                // There is no moment without an entry. The old one goes with the staging folder,
                // after the shard is synced: until then a power failure may bring it back.
                if (staging.change_places_with(shard, name_)) {
                    return;
                }
                if (move_in_after_moving_away(staging, tmp, shard)) {
                    return;
                }
            } catch (const CacheError& error) {
                if (error.code().value() != ENOENT) {
                    throw;
                }
                // It went away by itself.
            }
        }
    }

    // In two steps, where the file system has no exchange: a kill between them leaves a miss, and
    // the old entry in tmp for the sweep. False: another process filled the gap.
    bool move_in_after_moving_away(Staging& staging, const SecureDirectory& tmp,
                                   const SecureDirectory& shard) {
        const std::string old = store_.unique_name();
        shard.move(name_, tmp, old);
        try {
            rename_into_place(staging, shard);
        } catch (const CacheError& error) {
            if (is_taken(error) || judge([&] { tmp.move(old, shard, name_); })) {
                remove_quietly(tmp, old);
            }
            if (!is_taken(error)) {
                throw;
            }
            return false;
        }
        shard.sync();
        remove_quietly(tmp, old);
        return true;
    }

    StoreContext& store_;
    const Manifest& manifest_;
    std::span<const std::byte> artifact_;
    std::string text_;
    Request wanted_;
    std::string name_;
    bool on_network_ = false;
};

}  // namespace

SecureDirectory open_or_create_version(const StoreContext& store) {
    const SecureDirectory root = SecureDirectory::open_or_create_root(store.files, store.root);
    if (const auto there = root.status_if_there(kVersionFolder);
        store.options.read_only || (there && !is_writable(*there))) {
        throw CacheError("write to", root.path() / kVersionFolder,
                         std::make_error_code(std::errc::read_only_file_system),
                         "it is a sealed layer: name it in OPFORGE_LAYERS, and give "
                         "OPFORGE_CACHE_DIR a directory of its own");
    }
    write_tag(root);
    return root.open_or_create(kVersionFolder);
}

std::filesystem::path publish_entry(StoreContext& store, const Manifest& manifest,
                                    std::span<const std::byte> artifact, IfTaken if_taken) {
    check_fits(manifest, artifact);
    Publication publication(store, manifest, artifact);
    Patience patience(store.files);
    for (;;) {
        try {
            return publication.run(if_taken);
        } catch (const CacheError& error) {
            // Somebody removed the root, or cleared the cache, while we were at it; or a network
            // file system is behind. A new try makes what is missing.
            if (!is_passing(error.code()) || !patience.wait()) {
                throw;
            }
        }
    }
}

}  // namespace opforge::cache
