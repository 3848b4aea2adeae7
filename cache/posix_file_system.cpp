#include <opforge/cache/file_system.hpp>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace opforge::cache {

FileSystem::~FileSystem() = default;

namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kPermissionBits = 0777;

[[noreturn]] void fail(const char* call) {
    throw std::system_error(errno, std::generic_category(), call);
}

template <typename Call>
auto retried(const char* name, Call call) {
    for (;;) {
        const auto result = call();
        if (result >= 0) {
            return result;
        }
        if (errno != EINTR) {
            fail(name);
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
    status.modified_nanoseconds =
        std::int64_t{raw.st_mtim.tv_sec} * 1'000'000'000 + std::int64_t{raw.st_mtim.tv_nsec};
    status.links = raw.st_nlink;
    return status;
}

class PosixFileSystem final : public FileSystem {
public:
    int open_root(const std::string& path) override {
        return retried("open",
                       [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    }

    int open_directory(int parent, const std::string& name) override {
        return retried("openat", [&] {
            return ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        });
    }

    int open_file(int parent, const std::string& name) override {
        return retried("openat", [&] {
            return ::openat(parent, name.c_str(),
                            O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
        });
    }

    int create_file(int parent, const std::string& name) override {
        const int descriptor = retried("openat", [&] {
            return ::openat(parent, name.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode);
        });
        // The umask, or a default ACL, may have taken bits away that our own next read needs.
        if (::fchmod(descriptor, kFileMode) != 0) {
            const int saved = errno;
            ::close(descriptor);
            errno = saved;
            fail("fchmod");
        }
        return descriptor;
    }

    void make_directory(int parent, const std::string& name) override {
        if (::mkdirat(parent, name.c_str(), kDirectoryMode) != 0) {
            fail("mkdirat");
        }
        struct stat raw {};
        if (::fstatat(parent, name.c_str(), &raw, AT_SYMLINK_NOFOLLOW) != 0) {
            fail("fstatat");
        }
        // Only under an odd umask; such a directory could not even be opened to fchmod it.
        if ((raw.st_mode & kPermissionBits) != kDirectoryMode && S_ISDIR(raw.st_mode) &&
            ::fchmodat(parent, name.c_str(), kDirectoryMode, 0) != 0) {
            fail("fchmodat");
        }
    }

    FileStatus status(int descriptor) override {
        struct stat raw {};
        if (::fstat(descriptor, &raw) != 0) {
            fail("fstat");
        }
        return converted(raw);
    }

    FileStatus status_at(int parent, const std::string& name) override {
        struct stat raw {};
        if (::fstatat(parent, name.c_str(), &raw, AT_SYMLINK_NOFOLLOW) != 0) {
            fail("fstatat");
        }
        return converted(raw);
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
        while (!bytes.empty()) {
            const ssize_t count =
                retried("write", [&] { return ::write(descriptor, bytes.data(), bytes.size()); });
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        }
    }

    void sync(int descriptor) override {
        retried("fsync", [&] { return ::fsync(descriptor); });
    }

    void rename(int from_parent, const std::string& from, int to_parent,
                const std::string& to) override {
        if (::renameat(from_parent, from.c_str(), to_parent, to.c_str()) != 0) {
            fail("renameat");
        }
    }

    void rename_no_replace(int from_parent, const std::string& from, int to_parent,
                           const std::string& to) override {
        if (::renameat2(from_parent, from.c_str(), to_parent, to.c_str(), RENAME_NOREPLACE) == 0) {
            return;
        }
        if (errno != EINVAL && errno != ENOSYS) {
            fail("renameat2");
        }
        // Some file systems know no flags. A plain rename of a directory refuses a target that is
        // not empty.
        rename(from_parent, from, to_parent, to);
    }

    void remove_file(int parent, const std::string& name) override {
        if (::unlinkat(parent, name.c_str(), 0) != 0) {
            fail("unlinkat");
        }
    }

    void remove_directory(int parent, const std::string& name) override {
        if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) {
            fail("unlinkat");
        }
    }

    std::vector<std::string> list(int directory) override {
        // A second open file description: the position of `directory` itself stays where it is.
        const int own = open_directory(directory, ".");
        const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(own), &::closedir);
        if (!stream) {
            const int saved = errno;
            ::close(own);
            errno = saved;
            fail("fdopendir");
        }
        std::vector<std::string> names;
        for (;;) {
            errno = 0;
            const dirent* entry = ::readdir(stream.get());
            if (entry == nullptr) {
                break;
            }
            std::string name(static_cast<const char*>(entry->d_name));
            if (name != "." && name != "..") {
                names.push_back(std::move(name));
            }
        }
        if (errno != 0) {
            fail("readdir");
        }
        return names;
    }

    void touch(int descriptor) override {
        if (::futimens(descriptor, nullptr) != 0) {
            fail("futimens");
        }
    }

    void close(int descriptor) noexcept override { ::close(descriptor); }
};

}  // namespace

FileSystem& posix_file_system() {
    // Never destroyed: the process's cache outlives main().
    static FileSystem& instance = *new PosixFileSystem;
    return instance;
}

}  // namespace opforge::cache
