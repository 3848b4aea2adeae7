// A directory of a test's own, mode 0700, removed with all it holds.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace opforge::test {

class TemporaryDirectory {
public:
    TemporaryDirectory();
    explicit TemporaryDirectory(const std::filesystem::path& parent);
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory();
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

/// Where a test of thousands of small changes keeps them: in memory where the system has such a
/// place, since a disk takes many times as long, else the usual one.
[[nodiscard]] std::filesystem::path fastest_parent();

[[nodiscard]] std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace opforge::test
