// A directory that nobody but those we trust could have written, opened one component at a time,
// and the file calls the store makes in it. Every failure is a CacheError that names the path and
// what to do. Private.
#pragma once

#include "descriptor.hpp"
#include "trust.hpp"

#include <opforge/base/bytes.hpp>
#include <opforge/cache/errors.hpp>
#include <opforge/cache/file_system.hpp>

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace opforge::cache {

/// A regular file open for reading, its owner and mode checked.
struct OpenFile {
    Descriptor descriptor;
    FileStatus status;
    std::filesystem::path path;
};

enum class Durability { synced, relaxed };

/// Names below have one component, except where it says "relative": those may have several, none of
/// them a link.
class SecureDirectory {
public:
    /// All of these @throw CacheError (InsecureError for what is not to be trusted).
    [[nodiscard]] static SecureDirectory
    open_root(FileSystem& files, const std::filesystem::path& path, Trust trust = Trust::own);
    /// Makes what is missing of the path, each part mode 0700.
    [[nodiscard]] static SecureDirectory open_or_create_root(FileSystem& files,
                                                             const std::filesystem::path& path);

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    [[nodiscard]] const FileStatus& status() const noexcept { return status_; }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
    [[nodiscard]] const Trusted& trusted() const noexcept { return trusted_; }

    [[nodiscard]] SecureDirectory open(const std::string& name) const;
    /// Where it makes one, this directory is synced, so that a crash does not lose the name.
    [[nodiscard]] SecureDirectory open_or_create(const std::string& name) const;
    /// EEXIST is an error.
    [[nodiscard]] SecureDirectory create(const std::string& name) const;
    /// The status of a directory at a relative name, its owner and mode checked.
    [[nodiscard]] FileStatus check_directory(const std::string& relative) const;
    [[nodiscard]] OpenFile open_file(const std::string& relative) const;
    /// The whole file; fewer bytes than its status says where it was cut meanwhile.
    [[nodiscard]] Bytes read(const OpenFile& file) const;
    /// A new file. EEXIST is an error.
    void write_file(const std::string& name, std::span<const std::byte> bytes,
                    Durability durability = Durability::synced) const;
    [[nodiscard]] FileStatus status_of(const std::string& relative) const;
    /// nullopt where there is nothing of that name.
    [[nodiscard]] std::optional<FileStatus> status_if_there(const std::string& relative) const;
    [[nodiscard]] std::vector<std::string> list() const;
    void sync() const;
    /// @throws CacheError with EEXIST or ENOTEMPTY where `to` is taken.
    void move(const std::string& from, const SecureDirectory& to_parent,
              const std::string& to) const;
    /// `name` here and `other` there change places in one step. False where the file system cannot.
    /// @throws CacheError with ENOENT where one of them is gone.
    [[nodiscard]] bool exchange(const std::string& name, const SecureDirectory& other_parent,
                                const std::string& other) const;
    /// A file, a link, or a directory with all it holds.
    void remove(const std::string& name) const;

private:
    SecureDirectory(FileSystem& files, Descriptor descriptor, std::filesystem::path path,
                    const Trusted& trusted)
        : files_(&files), descriptor_(std::move(descriptor)), path_(std::move(path)),
          trusted_(trusted) {}
    void remove(const std::string& name, int depth) const;
    [[nodiscard]] SecureDirectory checked() &&;

    FileSystem* files_;
    Descriptor descriptor_;
    std::filesystem::path path_;
    Trusted trusted_;
    FileStatus status_;
};

/// Cleaning up is a courtesy: where it fails, a sweep gets another chance and the caller's own
/// error matters more.
void remove_quietly(const SecureDirectory& parent, const std::string& name) noexcept;

}  // namespace opforge::cache
