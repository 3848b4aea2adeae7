// An output file that appears whole or not at all: written under another name in its own folder,
// then renamed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace opforge::tools {

/// One at a time in a process: a signal's handler removes the unfinished file, and it knows of one.
class StagedOutput {
public:
    /// Creates the file under its temporary name. An existing `path` that is a link keeps being
    /// one.
    /// @throws OutputError where the folder refuses, or where `path` exists and is not a regular
    /// file.
    explicit StagedOutput(std::filesystem::path path);
    StagedOutput(const StagedOutput&) = delete;
    StagedOutput& operator=(const StagedOutput&) = delete;
    /// Removes what was not committed.
    ~StagedOutput();

    [[nodiscard]] const std::filesystem::path& temporary_path() const noexcept {
        return temporary_;
    }
    /// @throws OutputError
    void write(std::span<const std::byte> bytes);
    /// Makes the bytes durable and gives the file its name. @throws OutputError
    void commit();

private:
    std::filesystem::path path_;
    std::filesystem::path temporary_;
    int descriptor_ = -1;
};

/// From now on SIGINT and SIGTERM remove the unfinished output, where there is one, and end the
/// process with 130 or 143.
void handle_termination_signals();

}  // namespace opforge::tools
