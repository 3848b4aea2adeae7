// The few file calls that the cache makes, behind an interface: the real ones, or a test's that
// fails, records or delays them. Descriptors are plain ints. Names are relative to a directory that
// is open; where one has several components ("v1/entries"), none of them may be a link.
#pragma once

#include <opforge/base/export.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace opforge::cache {

struct FileStatus {
    bool is_directory = false;
    bool is_regular = false;
    unsigned owner = 0;
    unsigned mode = 0;  // permission bits
    std::uint64_t size_bytes = 0;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t modified_nanoseconds = 0;
    std::uint64_t links = 0;
};

/// Each call returns its result or throws std::system_error with the errno; EINTR and short
/// transfers never show, unless there is no end to them.
class OPFORGE_API FileSystem {
public:
    FileSystem() = default;
    FileSystem(const FileSystem&) = delete;
    FileSystem& operator=(const FileSystem&) = delete;
    virtual ~FileSystem();

    /// Opens an absolute path's directory; the root itself may be reached through links, nothing
    /// below it may.
    virtual int open_root(const std::string& path) = 0;
    virtual int open_directory(int parent, const std::string& name) = 0;
    /// O_RDONLY | O_NONBLOCK | O_NOFOLLOW: a planted FIFO never blocks.
    virtual int open_file(int parent, const std::string& name) = 0;
    /// O_CREAT | O_EXCL | O_NOFOLLOW, mode 0600.
    virtual int create_file(int parent, const std::string& name) = 0;
    /// O_RDWR | O_CREAT | O_NOFOLLOW, mode 0600; nothing is ever written to it.
    virtual int open_lock_file(int parent, const std::string& name) = 0;
    /// Locks one byte for this open file description (F_OFD_SETLK), without waiting; false where
    /// another one holds it. Closing the descriptor frees it.
    virtual bool try_lock(int descriptor, std::uint64_t byte) = 0;
    /// Mode 0700 whatever the umask. EEXIST is thrown.
    virtual void make_directory(int parent, const std::string& name) = 0;
    virtual FileStatus status(int descriptor) = 0;
    /// Of the name itself, where it is a link.
    virtual FileStatus status_at(int parent, const std::string& name) = 0;
    /// The number that statfs(2) has for the file system's type.
    virtual std::int64_t file_system_type(int descriptor) = 0;
    /// At most `capacity` bytes, fewer only at the end of the file.
    virtual std::size_t read(int descriptor, std::span<std::byte> into) = 0;
    /// EFBIG, and no signal, where the file would grow beyond RLIMIT_FSIZE.
    virtual void write(int descriptor, std::span<const std::byte> bytes) = 0;
    virtual void sync(int descriptor) = 0;
    virtual void rename(int from_parent, const std::string& from, int to_parent,
                        const std::string& to) = 0;
    /// Fails with EEXIST or ENOTEMPTY where `to` exists and is not an empty directory.
    virtual void rename_no_replace(int from_parent, const std::string& from, int to_parent,
                                   const std::string& to) = 0;
    /// Both names exist and change places, in one step. Fails with EINVAL or ENOSYS where the file
    /// system cannot.
    virtual void exchange(int parent, const std::string& name, int other_parent,
                          const std::string& other) = 0;
    virtual void remove_file(int parent, const std::string& name) = 0;
    virtual void remove_directory(int parent, const std::string& name) = 0;
    virtual std::vector<std::string> list(int directory) = 0;
    /// Sets both times of a file or a directory, in nanoseconds since 1970.
    virtual void set_times(int descriptor, std::int64_t nanoseconds) = 0;
    virtual void set_mode(int descriptor, unsigned mode) = 0;
    virtual void close(int descriptor) noexcept = 0;

    /// The clock that times of files are compared with, in nanoseconds since 1970. It may jump.
    virtual std::int64_t now_nanoseconds() = 0;
    /// Sleeps, between two tries of what may soon go through.
    virtual void pause(std::chrono::milliseconds time) = 0;
};

/// The real one; lives as long as the process.
[[nodiscard]] OPFORGE_API FileSystem& posix_file_system();

/// "NFS", "CIFS", ... for the number that statfs(2) has for a network file system's type; empty for
/// every other.
[[nodiscard]] OPFORGE_API std::string_view network_file_system_name(std::int64_t type) noexcept;

}  // namespace opforge::cache
