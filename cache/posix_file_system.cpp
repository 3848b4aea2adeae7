#include "open_beneath.hpp"

#include <opforge/base/process_object.hpp>
#include <opforge/cache/file_system.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <thread>
#include <unistd.h>

namespace opforge::cache {

FileSystem::~FileSystem() = default;

namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kPermissionBits = 0777;
// Signals interrupt a call now and then; one that is interrupted this often in a row will never go
// through, and must not hang the caller.
constexpr int kMaxInterruptions = 100;
constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

[[noreturn]] void fail(const char* call, int code) {
    throw std::system_error(code, std::generic_category(), call);
}

template <typename Call>
auto retried(const char* name, Call call) {
    for (int attempt = 0;; ++attempt) {
        const auto result = call();
        if (result >= 0) {
            return result;
        }
        if (errno != EINTR || attempt == kMaxInterruptions) {
            fail(name, errno);
        }
    }
}

FileStatus converted(const struct stat& raw) {
    FileStatus status;
    status.is_directory = S_ISDIR(raw.st_mode);
    status.is_regular = S_ISREG(raw.st_mode);
    status.owner = raw.st_uid;
    status.mode = raw.st_mode & 07777U;
    status.size_bytes = static_cast<std::uint64_t>(raw.st_size);
    status.device = raw.st_dev;
    status.inode = raw.st_ino;
    status.modified_nanoseconds = std::int64_t{raw.st_mtim.tv_sec} * kNanosecondsPerSecond +
                                  std::int64_t{raw.st_mtim.tv_nsec};
    status.links = raw.st_nlink;
    return status;
}

// A write beyond the limit would raise SIGXFSZ, which ends a host that does not expect it.
void check_size_limit(int descriptor, std::size_t more_bytes) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return;
    }
    const off_t position = ::lseek(descriptor, 0, SEEK_CUR);
    if (position < 0) {
        fail("lseek", errno);
    }
    const auto begin = static_cast<rlim_t>(position);
    if (begin > limit.rlim_cur || more_bytes > limit.rlim_cur - begin) {
        fail("write", EFBIG);
    }
}

class PosixFileSystem final : public FileSystem {
public:
    int open_root(const std::string& path) override {
        return retried("open",
                       [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    }

    int open_directory(int parent, const std::string& name) override {
        return retried("openat",
                       [&] { return open_beneath(parent, name, O_RDONLY | O_DIRECTORY); });
    }

    int open_file(int parent, const std::string& name) override {
        return retried(
            "openat", [&] { return open_beneath(parent, name, O_RDONLY | O_NONBLOCK | O_NOCTTY); });
    }

    int create_file(int parent, const std::string& name) override {
        const int descriptor = retried("openat", [&] {
            return ::openat(parent, name.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode);
        });
        // The umask, or a default ACL, may have taken bits away that our own next read needs.
        make_readable(descriptor);
        return descriptor;
    }

    int open_lock_file(int parent, const std::string& name) override {
        constexpr int kFlags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
        try {
            return retried("openat", [&] { return ::openat(parent, name.c_str(), kFlags); });
        } catch (const std::system_error& error) {
            if (error.code().value() != ENOENT) {
                throw;
            }
        }
        const int descriptor = retried(
            "openat", [&] { return ::openat(parent, name.c_str(), kFlags | O_CREAT, kFileMode); });
        make_readable(descriptor);
        return descriptor;
    }

    bool try_lock(int descriptor, std::uint64_t byte) override {
        struct flock lock {};
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = static_cast<off_t>(byte);
        lock.l_len = 1;
        try {
            retried("fcntl", [&] { return ::fcntl(descriptor, F_OFD_SETLK, &lock); });
            return true;
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            if (code != EAGAIN && code != EACCES) {
                throw;
            }
            return false;
        }
    }

    void make_directory(int parent, const std::string& name) override {
        retried("mkdirat", [&] { return ::mkdirat(parent, name.c_str(), kDirectoryMode); });
        const FileStatus made = status_at(parent, name);
        // Only under an odd umask; such a directory could not even be opened to fchmod it.
        if ((made.mode & kPermissionBits) != kDirectoryMode && made.is_directory) {
            retried("fchmodat",
                    [&] { return ::fchmodat(parent, name.c_str(), kDirectoryMode, 0); });
        }
    }

    FileStatus status(int descriptor) override {
        struct stat raw {};
        retried("fstat", [&] { return ::fstat(descriptor, &raw); });
        return converted(raw);
    }

    FileStatus status_at(int parent, const std::string& name) override {
        struct stat raw {};
        retried("fstatat",
                [&] { return ::fstatat(parent, name.c_str(), &raw, AT_SYMLINK_NOFOLLOW); });
        return converted(raw);
    }

    std::int64_t file_system_type(int descriptor) override {
        struct statfs raw {};
        retried("fstatfs", [&] { return ::fstatfs(descriptor, &raw); });
        // The kernel's numbers have 32 bits; some come sign-extended.
        return static_cast<std::int64_t>(static_cast<std::uint32_t>(raw.f_type));
    }

    std::size_t read(int descriptor, std::span<std::byte> into) override {
        std::size_t done = 0;
        while (done < into.size()) {
            const auto part = into.subspan(done);
            const ssize_t count =
                retried("read", [&] { return ::read(descriptor, part.data(), part.size()); });
            if (count == 0) {
                break;
            }
            done += static_cast<std::size_t>(count);
        }
        return done;
    }

    void write(int descriptor, std::span<const std::byte> bytes) override {
        check_size_limit(descriptor, bytes.size());
        while (!bytes.empty()) {
            const ssize_t count =
                retried("write", [&] { return ::write(descriptor, bytes.data(), bytes.size()); });
            if (count == 0) {
                fail("write", EIO);  // or this would go on for ever
            }
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        }
    }

    void sync(int descriptor) override {
        retried("fsync", [&] { return ::fsync(descriptor); });
    }

    void rename(int from_parent, const std::string& from, int to_parent,
                const std::string& to) override {
        retried("renameat",
                [&] { return ::renameat(from_parent, from.c_str(), to_parent, to.c_str()); });
    }

    void rename_no_replace(int from_parent, const std::string& from, int to_parent,
                           const std::string& to) override {
        try {
            retried("renameat2", [&] {
                return ::renameat2(from_parent, from.c_str(), to_parent, to.c_str(),
                                   RENAME_NOREPLACE);
            });
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            if (code != EINVAL && code != ENOSYS) {
                throw;
            }
            // Some file systems know no flags. A plain rename of a directory refuses a target that
            // is not empty.
            rename(from_parent, from, to_parent, to);
        }
    }

    void exchange(int parent, const std::string& name, int other_parent,
                  const std::string& other) override {
        retried("renameat2", [&] {
            return ::renameat2(parent, name.c_str(), other_parent, other.c_str(), RENAME_EXCHANGE);
        });
    }

    void remove_file(int parent, const std::string& name) override {
        retried("unlinkat", [&] { return ::unlinkat(parent, name.c_str(), 0); });
    }

    void remove_directory(int parent, const std::string& name) override {
        retried("unlinkat", [&] { return ::unlinkat(parent, name.c_str(), AT_REMOVEDIR); });
    }

    std::vector<std::string> list(int directory) override {
        // A second open file description: the position of `directory` itself stays where it is.
        const int own = open_directory(directory, ".");
        std::unique_ptr<DIR, int (*)(DIR*)> stream(nullptr, &::closedir);
        try {
            retried("fdopendir", [&] {
                stream.reset(::fdopendir(own));
                return stream ? 0 : -1;
            });
        } catch (const std::system_error&) {
            ::close(own);
            throw;
        }
        std::vector<std::string> names;
        int interruptions = 0;
        for (;;) {
            errno = 0;
            const dirent* entry = ::readdir(stream.get());
            if (entry != nullptr) {
                std::string name(static_cast<const char*>(entry->d_name));
                if (name != "." && name != "..") {
                    names.push_back(std::move(name));
                }
            } else if (errno != EINTR || ++interruptions > kMaxInterruptions) {
                break;
            }
        }
        if (errno != 0) {
            fail("readdir", errno);
        }
        return names;
    }

    void set_times(int descriptor, std::int64_t nanoseconds) override {
        timespec time{};
        time.tv_sec = nanoseconds / kNanosecondsPerSecond;
        time.tv_nsec = nanoseconds % kNanosecondsPerSecond;
        const std::array<timespec, 2> times = {time, time};
        retried("futimens", [&] { return ::futimens(descriptor, times.data()); });
    }

    void set_mode(int descriptor, unsigned mode) override {
        retried("fchmod", [&] { return ::fchmod(descriptor, static_cast<mode_t>(mode)); });
    }

    void close(int descriptor) noexcept override { ::close(descriptor); }

    std::int64_t now_nanoseconds() override {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
    }

    void pause(std::chrono::milliseconds time) override { std::this_thread::sleep_for(time); }

private:
    static void make_readable(int descriptor) {
        try {
            retried("fchmod", [&] { return ::fchmod(descriptor, kFileMode); });
        } catch (...) {
            ::close(descriptor);
            throw;
        }
    }
};

}  // namespace

FileSystem& posix_file_system() {
    // The process's cache outlives main().
    static constinit ProcessObject<PosixFileSystem> instance;
    return instance.get();
}

}  // namespace opforge::cache
