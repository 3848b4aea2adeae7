// A regular file opened for reading at any offset. Never mapped: a file that another process cuts
// short must end in an error, not in a SIGBUS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace opforge::tools {

class InputFile {
public:
    /// @throws InputError where it is missing, unreadable or not a regular file.
    explicit InputFile(std::filesystem::path path);
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;
    ~InputFile();

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    /// As it was when opened.
    [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
    /// Fills `into` from `offset`. @throws InputError for an I/O error or where the file ends
    /// before.
    void read(std::uint64_t offset, std::span<std::byte> into) const;

private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    std::uint64_t size_bytes_ = 0;
};

}  // namespace opforge::tools
