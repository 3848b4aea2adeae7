#include "secure_directory.hpp"

#include <opforge/base/log_sink.hpp>

#include <cerrno>

namespace opforge::cache {
namespace {

// Entries are one directory deep; the bound is for what somebody else may have put there.
constexpr int kMaxRemoveDepth = 8;

template <typename Call>
auto attempt(const char* action, const std::filesystem::path& path, Call call) {
    try {
        return call();
    } catch (const std::system_error& error) {
        throw CacheError(action, path, error.code(), remedy_for(error.code().value()));
    }
}

}  // namespace

SecureDirectory SecureDirectory::checked() && {
    status_ = attempt("stat", path_, [&] { return files_->status(descriptor_.get()); });
    check_owner_and_mode(status_, path_, trusted_);
    return std::move(*this);
}

SecureDirectory SecureDirectory::open_root(FileSystem& files, const std::filesystem::path& path,
                                           Trust trust) {
    const int descriptor = attempt("open", path, [&] { return files.open_root(path.string()); });
    return SecureDirectory(files, Descriptor(files, descriptor), path, Trusted::now(trust))
        .checked();
}

SecureDirectory SecureDirectory::open_or_create_root(FileSystem& files,
                                                     const std::filesystem::path& path) {
    // The nearest ancestor that exists is the user's own matter (it may be /tmp, or reached through
    // links); what is made below it is ours.
    std::vector<std::string> missing;
    std::filesystem::path existing = path;
    const Trusted trusted = Trusted::now(Trust::own);
    for (;;) {
        try {
            Descriptor descriptor(files, files.open_root(existing.string()));
            SecureDirectory directory(files, std::move(descriptor), existing, trusted);
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
                refuse_as_directory(path, code);
            }
            throw CacheError("open", path, error.code(), remedy_for(code));
        }
    }();
    return SecureDirectory(*files_, Descriptor(*files_, descriptor), path, trusted_).checked();
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
        SecureDirectory made = create(name);
        sync();
        return made;
    } catch (const CacheError& error) {
        // Another process was faster: its directory serves as well.
        if (error.code().value() != EEXIST) {
            throw;
        }
    }
    return open(name);
}

FileStatus SecureDirectory::check_directory(const std::string& relative) const {
    const FileStatus status = status_of(relative);
    if (!status.is_directory) {
        refuse_as_directory(path_ / relative, ENOTDIR);
    }
    check_owner_and_mode(status, path_ / relative, trusted_);
    return status;
}

OpenFile SecureDirectory::open_file(const std::string& relative) const {
    std::filesystem::path path = path_ / relative;
    const int raw = [&] {
        try {
            return files_->open_file(descriptor_.get(), relative);
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            if (means_other_type(code)) {
                refuse_as_file(path, code);
            }
            throw CacheError("open", path, error.code(), remedy_for(code));
        }
    }();
    Descriptor descriptor(*files_, raw);
    const FileStatus status = attempt("stat", path, [&] { return files_->status(raw); });
    if (!status.is_regular) {
        refuse_as_file(path, EINVAL);
    }
    check_owner_and_mode(status, path, trusted_);
    return {std::move(descriptor), status, std::move(path)};
}

Bytes SecureDirectory::read(const OpenFile& file) const {
    Bytes bytes(file.status.size_bytes);
    const std::size_t count =
        attempt("read", file.path, [&] { return files_->read(file.descriptor.get(), bytes); });
    bytes.resize(count);
    return bytes;
}

void SecureDirectory::write_file(const std::string& name, std::span<const std::byte> bytes,
                                 Durability durability) const {
    const std::filesystem::path path = path_ / name;
    const Descriptor file(*files_, attempt("create", path, [&] {
        return files_->create_file(descriptor_.get(), name);
    }));
    attempt("write", path, [&] { files_->write(file.get(), bytes); });
    if (durability == Durability::synced) {
        attempt("sync", path, [&] { files_->sync(file.get()); });
    }
}

FileStatus SecureDirectory::status_of(const std::string& relative) const {
    return attempt("stat", path_ / relative,
                   [&] { return files_->status_at(descriptor_.get(), relative); });
}

std::optional<FileStatus> SecureDirectory::status_if_there(const std::string& relative) const {
    try {
        return status_of(relative);
    } catch (const CacheError& error) {
        if (error.code().value() != ENOENT) {
            throw;
        }
        return std::nullopt;
    }
}

std::vector<std::string> SecureDirectory::list() const {
    return attempt("list", path_, [&] { return files_->list(descriptor_.get()); });
}

void SecureDirectory::sync() const {
    try {
        files_->sync(descriptor_.get());
    } catch (const std::system_error& error) {
        // Some file systems (CIFS, some of FUSE) cannot sync a directory, and say so.
        const int code = error.code().value();
        if (code != EINVAL && code != ENOTSUP) {
            throw CacheError("sync", path_, error.code(), remedy_for(code));
        }
    }
}

void SecureDirectory::move(const std::string& from, const SecureDirectory& to_parent,
                           const std::string& to) const {
    attempt("rename to", to_parent.path_ / to, [&] {
        files_->rename_no_replace(descriptor_.get(), from, to_parent.descriptor_.get(), to);
    });
}

bool SecureDirectory::exchange(const std::string& name, const SecureDirectory& other_parent,
                               const std::string& other) const {
    try {
        files_->exchange(descriptor_.get(), name, other_parent.descriptor_.get(), other);
        return true;
    } catch (const std::system_error& error) {
        const int code = error.code().value();
        if (code != EINVAL && code != ENOSYS) {
            throw CacheError("exchange with", other_parent.path_ / other, error.code(),
                             remedy_for(code));
        }
        return false;
    }
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

void remove_quietly(const SecureDirectory& parent, const std::string& name) noexcept {
    try {
        parent.remove(name);
    } catch (const std::exception& error) {
        log(LogLevel::debug, error.what());
    }
}

}  // namespace opforge::cache
