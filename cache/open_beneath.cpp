#include "open_beneath.hpp"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace opforge::cache {
namespace {

// The way down by hand, where openat2 is not to be had (kernels before 5.6, containers' filters).
int open_by_component(int parent, const std::string& name, int flags) noexcept {
    int directory = parent;
    std::size_t begin = 0;
    for (std::size_t end = name.find('/'); end != std::string::npos; end = name.find('/', begin)) {
        const int next = ::openat(directory, name.substr(begin, end - begin).c_str(),
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        const int saved = errno;
        if (directory != parent) {
            ::close(directory);
        }
        errno = saved;
        if (next < 0) {
            return -1;
        }
        directory = next;
        begin = end + 1;
    }
    const int descriptor =
        ::openat(directory, name.substr(begin).c_str(), flags | O_NOFOLLOW | O_CLOEXEC);
    const int saved = errno;
    if (directory != parent) {
        ::close(directory);
    }
    errno = saved;
    return descriptor;
}

}  // namespace

int open_beneath(int parent, const std::string& name, int flags) noexcept {
    if (name.find('/') == std::string::npos) {
        return ::openat(parent, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC);
    }
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
    const auto descriptor =
        static_cast<int>(::syscall(SYS_openat2, parent, name.c_str(), &how, sizeof how));
    // A filter that does not know the call says EPERM; a file that refuses says EACCES. EAGAIN is
    // a rename somewhere while the path was walked.
    if (descriptor < 0 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN)) {
        return open_by_component(parent, name, flags);
    }
    return descriptor;
}

}  // namespace opforge::cache
