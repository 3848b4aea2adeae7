#include "secure_directory.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <cerrno>
#include <optional>

namespace opforge::cache {
namespace {

constexpr unsigned kOthersWrite = 022;
// Entries are one directory deep; the bound is for what somebody else may have put there.
constexpr int kMaxRemoveDepth = 8;

std::string remedy_for(int code) {
    switch (code) {
    case EACCES:
    case EPERM:
        return "give yourself access, or set OPFORGE_CACHE_DIR to a directory of your own";
    case ENOTDIR:
    case ELOOP:
        return "a file or a loop of links stands where a directory belongs; remove it, or set "
               "OPFORGE_CACHE_DIR to another directory";
    case EROFS:
        return "set OPFORGE_CACHE_DIR to a directory on a writable file system";
    case ENOSPC:
    case EDQUOT:
        return "free space, or set OPFORGE_CACHE_DIR to a directory on another disk";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (ulimit -n)";
    default:
        return "check the disk, or set OPFORGE_CACHE_DIR to another directory";
    }
}

template <typename Call>
auto attempt(const char* action, const std::filesystem::path& path, Call call) {
    try {
        return call();
    } catch (const std::system_error& error) {
        throw CacheError(action, path, error.code(), remedy_for(error.code().value()));
    }
}

InsecureError insecure(const char* action, const std::filesystem::path& path, int code,
                       const std::string& remedy) {
    return {action, path, {code, std::generic_category()}, remedy};
}

// A link (ELOOP, or ENOTDIR where a directory was asked for), a file, a socket (ENXIO): not what
// the store makes.
bool means_other_type(int code) {
    return code == ELOOP || code == ENOTDIR || code == ENXIO;
}

void check_owner_and_mode(const FileStatus& status, const std::filesystem::path& path) {
    const unsigned user = ::geteuid();
    if (status.owner != user && status.owner != 0) {
        throw insecure(
            "use", path, EPERM,
            fmt::format("it belongs to user {}, who could have written it; remove it or make it "
                        "yours (chown {}), or set OPFORGE_CACHE_DIR to another directory",
                        status.owner, user));
    }
    if ((status.mode & kOthersWrite) != 0) {
        throw insecure(
            "use", path, EPERM,
            fmt::format("its mode {:04o} lets others write to it; chmod go-w it if you trust what "
                        "it holds, or set OPFORGE_CACHE_DIR to another directory",
                        status.mode));
    }
}

}  // namespace

SecureDirectory SecureDirectory::checked() && {
    status_ = attempt("stat", path_, [&] { return files_->status(descriptor_.get()); });
    check_owner_and_mode(status_, path_);
    return std::move(*this);
}

SecureDirectory SecureDirectory::open_root(FileSystem& files, const std::filesystem::path& path) {
    const int descriptor = attempt("open", path, [&] { return files.open_root(path.string()); });
    return SecureDirectory(files, Descriptor(files, descriptor), path).checked();
}

SecureDirectory SecureDirectory::open_or_create_root(FileSystem& files,
                                                     const std::filesystem::path& path) {
    // The nearest ancestor that exists is the user's own matter (it may be /tmp, or reached through
    // links); what is made below it is ours.
    std::vector<std::string> missing;
    std::filesystem::path existing = path;
    for (;;) {
        try {
            Descriptor descriptor(files, files.open_root(existing.string()));
            SecureDirectory directory(files, std::move(descriptor), existing);
            if (missing.empty()) {
                return std::move(directory).checked();
            }
            while (!missing.empty()) {
                directory = directory.open_or_create(missing.back());
                missing.pop_back();
            }
            return directory;
        } catch (const std::system_error& error) {
            if (error.code().value() != ENOENT || !existing.has_relative_path()) {
                throw CacheError("open", existing, error.code(), remedy_for(error.code().value()));
            }
        }
        missing.push_back(existing.filename().string());
        existing = existing.parent_path();
    }
}

SecureDirectory SecureDirectory::open(const std::string& name) const {
    const std::filesystem::path path = path_ / name;
    const int descriptor = [&] {
        try {
            return files_->open_directory(descriptor_.get(), name);
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            if (means_other_type(code)) {
                throw insecure("open", path, code,
                               "a link or a file stands where a directory belongs; remove it");
            }
            throw CacheError("open", path, error.code(), remedy_for(code));
        }
    }();
    return SecureDirectory(*files_, Descriptor(*files_, descriptor), path).checked();
}

SecureDirectory SecureDirectory::create(const std::string& name) const {
    attempt("create", path_ / name, [&] { files_->make_directory(descriptor_.get(), name); });
    return open(name);
}

SecureDirectory SecureDirectory::open_or_create(const std::string& name) const {
    try {
        return open(name);
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
    }
    try {
        return create(name);
    } catch (const CacheError& error) {
        // Another process was faster: its directory serves as well.
        if (error.code().value() != EEXIST) {
            throw;
        }
    }
    return open(name);
}

OpenFile SecureDirectory::open_file(const std::string& name) const {
    std::filesystem::path path = path_ / name;
    const int raw = [&] {
        try {
            return files_->open_file(descriptor_.get(), name);
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            if (means_other_type(code)) {
                throw insecure("open", path, code,
                               "a link or a device stands where a file belongs; remove it");
            }
            throw CacheError("open", path, error.code(), remedy_for(code));
        }
    }();
    Descriptor descriptor(*files_, raw);
    const FileStatus status = attempt("stat", path, [&] { return files_->status(raw); });
    if (!status.is_regular) {
        throw insecure("open", path, EINVAL, "it is not a regular file; remove it");
    }
    check_owner_and_mode(status, path);
    return {std::move(descriptor), status, std::move(path)};
}

Bytes SecureDirectory::read(const OpenFile& file) const {
    Bytes bytes(file.status.size_bytes);
    const std::size_t count =
        attempt("read", file.path, [&] { return files_->read(file.descriptor.get(), bytes); });
    bytes.resize(count);
    return bytes;
}

void SecureDirectory::write_file(const std::string& name, std::span<const std::byte> bytes) const {
    const std::filesystem::path path = path_ / name;
    const Descriptor file(*files_, attempt("create", path, [&] {
        return files_->create_file(descriptor_.get(), name);
    }));
    attempt("write", path, [&] { files_->write(file.get(), bytes); });
    attempt("sync", path, [&] { files_->sync(file.get()); });
}

FileStatus SecureDirectory::status_of(const std::string& name) const {
    return attempt("stat", path_ / name,
                   [&] { return files_->status_at(descriptor_.get(), name); });
}

std::vector<std::string> SecureDirectory::list() const {
    return attempt("list", path_, [&] { return files_->list(descriptor_.get()); });
}

void SecureDirectory::sync() const {
    attempt("sync", path_, [&] { files_->sync(descriptor_.get()); });
}

void SecureDirectory::move(const std::string& from, const SecureDirectory& to_parent,
                           const std::string& to) const {
    attempt("rename to", to_parent.path_ / to, [&] {
        files_->rename_no_replace(descriptor_.get(), from, to_parent.descriptor_.get(), to);
    });
}

void SecureDirectory::remove(const std::string& name) const {
    remove(name, 0);
}

void SecureDirectory::remove(const std::string& name, int depth) const {
    const std::filesystem::path path = path_ / name;
    if (!status_of(name).is_directory) {
        attempt("remove", path, [&] { files_->remove_file(descriptor_.get(), name); });
        return;
    }
    if (depth < kMaxRemoveDepth) {
        const SecureDirectory inner = open(name);
        for (const std::string& below : inner.list()) {
            inner.remove(below, depth + 1);
        }
    }
    attempt("remove", path, [&] { files_->remove_directory(descriptor_.get(), name); });
}

}  // namespace opforge::cache
