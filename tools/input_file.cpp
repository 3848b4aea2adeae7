#include "input_file.hpp"

#include "file_errors.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace opforge::tools {
namespace {

std::string errno_text() {
    return std::generic_category().message(errno);
}

}  // namespace

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
    // O_NONBLOCK: a named pipe must be refused below, not waited for here.
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) {
        throw InputError(path_, errno_text());
    }
    struct stat status {};
    std::string problem;
    if (::fstat(descriptor_, &status) != 0) {
        problem = errno_text();
    } else if (!S_ISREG(status.st_mode)) {
        problem = "not a regular file";
    }
    if (!problem.empty()) {
        ::close(descriptor_);
        throw InputError(path_, problem);
    }
    size_bytes_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
    ::close(descriptor_);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> into) const {
    while (!into.empty()) {
        const ssize_t count =
            ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            throw InputError(path_, fmt::format("at byte {}: {}", offset, errno_text()));
        }
        if (count == 0) {
            throw InputError(path_, fmt::format("the file ends at byte {}: it is truncated, or "
                                                "became shorter while it was read",
                                                offset));
        }
        offset += static_cast<std::uint64_t>(count);
        into = into.subspan(static_cast<std::size_t>(count));
    }
}

}  // namespace opforge::tools
