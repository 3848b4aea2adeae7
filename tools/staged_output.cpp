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
    ::_exit(static_cast<int>(signal == SIGINT ? ExitCode::interrupted : ExitCode::terminated));
}

std::string errno_text() {
    return std::generic_category().message(errno);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

StagedOutput::StagedOutput(std::filesystem::path path) : path_(std::move(path)) {
    std::error_code ignored;
    if (std::filesystem::is_symlink(path_, ignored)) {
        path_ = std::filesystem::weakly_canonical(path_, ignored);
    }
    if (path_.filename().empty()) {
        throw OutputError(path_, "not a file name");
    }
    // A rename would replace a device or a folder's entry: nobody means that.
    if (std::filesystem::exists(path_, ignored) &&
        !std::filesystem::is_regular_file(path_, ignored)) {
        throw OutputError(path_, "exists and is not a regular file");
    }
    temporary_ = folder_of(path_) / fmt::format(".opforge-{}.tmp", ::getpid());
    if (temporary_.native().size() >= unfinished_path.size()) {
        throw OutputError(path_, "the path is too long");
    }
    std::memcpy(unfinished_path.data(), temporary_.c_str(), temporary_.native().size() + 1);
    // O_EXCL: never through a link that somebody planted. Mode: the user's umask decides, as for
    // any output.
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
        throw OutputError(path_, fmt::format("create {}: {}", temporary_.string(), errno_text()));
    }
    unfinished_exists.store(true);
}

StagedOutput::~StagedOutput() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
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
    for (const int signal : {SIGINT, SIGTERM}) {
        struct sigaction before {};
        // `nohup`, and shells for background jobs, start programs with a signal ignored: that
        // stays.
        if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
            ::sigaction(signal, &action, nullptr);
        }
    }
}

}  // namespace opforge::tools
