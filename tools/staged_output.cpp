#include "staged_output.hpp"

#include "exit_code.hpp"
#include "file_errors.hpp"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace opforge::tools {
namespace {

// For the signal handler: a plain array, written before the flag is raised and left alone until it
// is lowered.
std::array<char, PATH_MAX> unfinished_path{};
std::atomic<bool> unfinished_exists{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the signal handler reads it");

extern "C" void remove_unfinished_and_exit(int signal) {
    if (unfinished_exists.load()) {
        ::unlink(unfinished_path.data());
    }
    // 130 and 143 for SIGINT and SIGTERM, as a shell would say it.
    ::_exit(128 + signal);
}
static_assert(static_cast<int>(ExitCode::interrupted) == 128 + SIGINT);
static_assert(static_cast<int>(ExitCode::terminated) == 128 + SIGTERM);

std::string errno_text() {
    return std::generic_category().message(errno);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// The file that a chain of links ends at, also where there is no such file yet: a link stays one.
std::filesystem::path behind_links(const std::filesystem::path& path) {
    constexpr int kMostLinks = 40;  // as many as Linux follows
    std::filesystem::path end = path;
    std::error_code error;
    for (int links = 0; std::filesystem::is_symlink(end, error); ++links) {
        const std::filesystem::path next = std::filesystem::read_symlink(end, error);
        if (error || links == kMostLinks) {
            throw OutputError(path, error ? error.message() : "a loop of links, or too many");
        }
        end = next.is_absolute() ? next : folder_of(end) / next;
    }
    return end;
}

}  // namespace

StagedOutput::StagedOutput(std::filesystem::path path) : path_(std::move(path)) {
    path_ = behind_links(path_);
    if (path_.filename().empty()) {
        throw OutputError(path_, "not a file name");
    }
    struct stat present {};
    const bool exists = ::stat(path_.c_str(), &present) == 0;
    // A rename would replace a device or a folder's entry: nobody means that.
    if (exists && !S_ISREG(present.st_mode)) {
        throw OutputError(path_, "exists and is not a regular file");
    }
    create_temporary();
    // What only its owner could read must not become readable by being written anew.
    if (exists && ::fchmod(descriptor_, present.st_mode & 0777) != 0) {
        const std::string cause = errno_text();
        discard();
        throw OutputError(path_, fmt::format("set the mode of {}: {}", temporary_.string(), cause));
    }
}

void StagedOutput::create_temporary() {
    // More than one name: in containers the same process number comes again and again, and a run
    // that was killed may have left its file.
    constexpr int kNames = 100;
    for (int i = 0; i < kNames && descriptor_ < 0; ++i) {
        try_name(fmt::format(".opforge-{}-{}.tmp", ::getpid(), i));
        if (descriptor_ < 0 && errno != EEXIST) {
            break;
        }
    }
    if (descriptor_ < 0) {
        throw OutputError(path_, fmt::format("create {}: {}", temporary_.string(), errno_text()));
    }
}

void StagedOutput::try_name(const std::string& name) {
    temporary_ = folder_of(path_) / name;
    if (temporary_.native().size() >= unfinished_path.size()) {
        throw OutputError(path_, "the path is too long");
    }
    std::memcpy(unfinished_path.data(), temporary_.c_str(), temporary_.native().size() + 1);
    // Before the file is there: a signal that comes in between must find it.
    unfinished_exists.store(true);
    // O_EXCL: never through a link that somebody planted. Mode: the user's umask decides, as for
    // any output.
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
        unfinished_exists.store(false);
    }
}

StagedOutput::~StagedOutput() {
    discard();
}

void StagedOutput::discard() noexcept {
    if (descriptor_ >= 0) {
        ::close(std::exchange(descriptor_, -1));
        ::unlink(temporary_.c_str());
        unfinished_exists.store(false);
    }
}

void StagedOutput::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
        if (count < 0 && errno != EINTR) {
            throw OutputError(path_, errno_text());
        }
        bytes = bytes.subspan(static_cast<std::size_t>(count < 0 ? 0 : count));
    }
}

void StagedOutput::commit() {
    if (::fsync(descriptor_) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
        throw OutputError(path_, errno_text());
    }
    unfinished_exists.store(false);
    ::close(std::exchange(descriptor_, -1));
    // Some file systems cannot sync a folder; the file has its name either way.
    const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        ::fsync(folder);
        ::close(folder);
    }
}

void handle_termination_signals() {
    struct sigaction action {};
    action.sa_handler = remove_unfinished_and_exit;
    ::sigemptyset(&action.sa_mask);
    // A file past the limit of `ulimit -f` is then an error to report, not the process's end.
    ::signal(SIGXFSZ, SIG_IGN);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
        struct sigaction before {};
        // `nohup`, and shells for background jobs, start programs with a signal ignored: that
        // stays.
        if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
            ::sigaction(signal, &action, nullptr);
        }
    }
}

}  // namespace opforge::tools
