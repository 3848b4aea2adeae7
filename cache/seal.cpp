#include <opforge/cache/seal.hpp>

#include "digest_list.hpp"
#include "entry_reader.hpp"
#include "judgement.hpp"
#include "layer.hpp"
#include "secure_directory.hpp"
#include "store_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace opforge::cache {
namespace {

// For everybody to read: a layer serves other users than the one who made it.
constexpr unsigned kSealedDirectory = 0555;
constexpr unsigned kSealedFile = 0444;
constexpr const char* kUnfinishedList = "SHA256SUMS.unfinished";

template <typename Call>
void attempt(const char* action, const std::filesystem::path& path, Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        throw CacheError(action, path, error.code(), remedy_for(error.code().value()));
    }
}

class Sealing {
public:
    Sealing(FileSystem& files, std::optional<std::int64_t> nanoseconds)
        : files_(files), nanoseconds_(nanoseconds) {}

    // All that is below, then the directory itself.
    void seal_tree(const SecureDirectory& directory) const {
        for (const std::string& name : directory.list()) {
            if (directory.status_of(name).is_directory) {
                seal_tree(directory.open(name));
            } else {
                const OpenFile file = directory.open_file(name);
                seal_one(file.descriptor.get(), file.path, kSealedFile);
            }
        }
        seal_one(directory.descriptor(), directory.path(), kSealedDirectory);
        directory.sync();
    }

private:
    void seal_one(int descriptor, const std::filesystem::path& path, unsigned mode) const {
        attempt("change the mode of", path, [&] { files_.set_mode(descriptor, mode); });
        if (nanoseconds_) {
            attempt("set the time of", path, [&] { files_.set_times(descriptor, *nanoseconds_); });
        }
    }

    FileSystem& files_;
    std::optional<std::int64_t> nanoseconds_;
};

// Names of all entries, after a look at every byte of them.
std::vector<Listed> sound_entries(const std::filesystem::path& root, FileSystem& files) {
    std::vector<Listed> entries = DirectoryStore(root, files).list(true);
    for (const Listed& entry : entries) {
        if (!entry.manifest && entry.error != 0) {
            // The disk, or who owns it: that says nothing of the entry.
            throw CacheError("seal", entry.directory,
                             std::error_code(entry.error, std::generic_category()), entry.reason);
        }
        if (!entry.manifest) {
            throw IntegrityError(entry.directory,
                                 entry.reason + "; remove it, or build it anew, and seal again");
        }
    }
    if (entries.empty()) {
        throw InvalidArgument(fmt::format("seal {}: it holds no entries; fill it first: opforge "
                                          "prewarm --cache-dir {}",
                                          root.string(), root.string()));
    }
    return entries;
}

DigestList list_of(const std::vector<Listed>& entries, const SecureDirectory& root) {
    DigestList list;
    for (const Listed& entry : entries) {
        const ReadManifest read = EntryReader::below_root(root, entry.name).manifest();
        list.add(entry.name, sha256(read.bytes), read.manifest.artifact);
    }
    return list;
}

void remove_all_but_entries(const SecureDirectory& version) {
    for (const std::string& name : version.list()) {
        if (name != kEntriesFolder) {
            version.remove(name);
        }
    }
}

void write_list(FileSystem& files, const SecureDirectory& root, const std::string& text) {
    if (root.status_if_there(kUnfinishedList)) {
        root.remove(kUnfinishedList);
    }
    root.write_file(kUnfinishedList, as_bytes(text));
    attempt("rename to", root.path() / kDigestListFile, [&] {
        files.rename(root.descriptor(), kUnfinishedList, root.descriptor(), kDigestListFile);
    });
    root.sync();
}

}  // namespace

Sealed seal_directory(const std::filesystem::path& root,
                      std::optional<std::int64_t> seconds_since_1970, FileSystem& files) {
    const SecureDirectory top = SecureDirectory::open_root(files, root);
    const std::vector<Listed> entries = sound_entries(root, files);
    const std::string text = list_of(entries, top).text();
    if (top.status_if_there(kDigestListFile)) {
        const SealCheck check = check_seal(root, false, std::nullopt, files);
        if (!check.faults.empty()) {
            throw IntegrityError(root / kDigestListFile,
                                 fmt::format("it was sealed before, and {}: {}; remove the list "
                                             "to seal what is there now",
                                             check.faults[0].subject, check.faults[0].reason));
        }
    } else {
        write_list(files, top, text);
    }
    const SecureDirectory version = top.open(kVersionFolder);
    remove_all_but_entries(version);
    std::optional<std::int64_t> nanoseconds;
    if (seconds_since_1970) {
        nanoseconds = *seconds_since_1970 * std::int64_t{1'000'000'000};
    }
    Sealing(files, nanoseconds).seal_tree(top);
    Sealed sealed;
    sealed.list = sha256(text);
    for (const Listed& entry : entries) {
        ++sealed.entries.entries;
        sealed.entries.bytes += entry.size_bytes;
    }
    return sealed;
}

SealCheck check_seal(const std::filesystem::path& root, bool shared,
                     const std::optional<Digest>& expected, FileSystem& files) {
    SealCheck check;
    std::shared_ptr<const DigestList> list;
    try {
        list = read_digest_list(files, root, shared, expected);
    } catch (const ManifestFault& fault) {
        check.sealed = true;
        check.faults.push_back({kDigestListFile, fault.what()});
        return check;
    }
    if (!list) {
        return check;
    }
    check.sealed = true;
    const SecureDirectory top =
        SecureDirectory::open_root(files, root, shared ? Trust::shared : Trust::own);
    std::set<std::string> missing = list->entries();
    StoreOptions options;
    options.read_only = true;
    options.shared = shared;
    for (const Listed& entry : DirectoryStore(root, files, options).list(false)) {
        missing.erase(entry.name);
        if (!entry.manifest) {
            continue;
        }
        const auto judgement = judge([&] {
            const ReadManifest read = EntryReader::below_root(top, entry.name).manifest();
            if (const std::string fault =
                    list->fault_of(entry.name, read.bytes, read.manifest.artifact);
                !fault.empty()) {
                throw ManifestFault(Refusal::wrong_digest, fault, entry.directory);
            }
        });
        if (judgement) {
            check.faults.push_back({entry.name, judgement->reason});
        }
    }
    for (const std::string& name : missing) {
        check.faults.push_back(
            {name, fmt::format("{} lists it, and it is not there", kDigestListFile)});
    }
    return check;
}

}  // namespace opforge::cache
