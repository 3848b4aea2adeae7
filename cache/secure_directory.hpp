// A directory that nobody but the user (or root) could have written, opened one component at a
// time, and the file calls the store makes in it. Every failure is a CacheError that names the path
// and what to do. Private.
#pragma once

#include <opforge/base/bytes.hpp>
#include <opforge/cache/errors.hpp>
#include <opforge/cache/file_system.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace opforge::cache {

/// Not ours alone: owner, mode, a link, or the wrong type of file. Never read, and never moved
/// either.
class InsecureError : public CacheError {
public:
    using CacheError::CacheError;
};

/// An open descriptor, closed with its owner.
class Descriptor {
public:
    Descriptor(FileSystem& files, int descriptor) noexcept
        : files_(&files), descriptor_(descriptor) {}
    Descriptor(Descriptor&& other) noexcept
        : files_(other.files_), descriptor_(std::exchange(other.descriptor_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(files_, other.files_);
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (descriptor_ >= 0) {
            files_->close(descriptor_);
        }
    }
    [[nodiscard]] int get() const noexcept { return descriptor_; }

private:
    FileSystem* files_;
    int descriptor_;
};

/// A regular file open for reading, its owner and mode checked.
struct OpenFile {
    Descriptor descriptor;
    FileStatus status;
    std::filesystem::path path;
};

class SecureDirectory {
public:
    /// All of these @throw CacheError (InsecureError for what is not ours alone).
    [[nodiscard]] static SecureDirectory open_root(FileSystem& files,
                                                   const std::filesystem::path& path);
    /// Makes what is missing of the path, each part mode 0700.
    [[nodiscard]] static SecureDirectory open_or_create_root(FileSystem& files,
                                                             const std::filesystem::path& path);

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    [[nodiscard]] const FileStatus& status() const noexcept { return status_; }

    [[nodiscard]] SecureDirectory open(const std::string& name) const;
    [[nodiscard]] SecureDirectory open_or_create(const std::string& name) const;
    /// EEXIST is an error.
    [[nodiscard]] SecureDirectory create(const std::string& name) const;
    [[nodiscard]] OpenFile open_file(const std::string& name) const;
    /// The whole file; fewer bytes than its status says where it was cut meanwhile.
    [[nodiscard]] Bytes read(const OpenFile& file) const;
    /// A new file, written and synced. EEXIST is an error.
    void write_file(const std::string& name, std::span<const std::byte> bytes) const;
    [[nodiscard]] FileStatus status_of(const std::string& name) const;
    [[nodiscard]] std::vector<std::string> list() const;
    void sync() const;
    /// @throws CacheError with EEXIST or ENOTEMPTY where `to` is taken.
    void move(const std::string& from, const SecureDirectory& to_parent,
              const std::string& to) const;
    /// A file, a link, or a directory with all it holds.
    void remove(const std::string& name) const;

private:
    SecureDirectory(FileSystem& files, Descriptor descriptor, std::filesystem::path path)
        : files_(&files), descriptor_(std::move(descriptor)), path_(std::move(path)) {}
    void remove(const std::string& name, int depth) const;
    [[nodiscard]] SecureDirectory checked() &&;

    FileSystem* files_;
    Descriptor descriptor_;
    std::filesystem::path path_;
    FileStatus status_;
};

}  // namespace opforge::cache
