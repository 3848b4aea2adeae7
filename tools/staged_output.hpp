// An output file that appears whole or not at all: written under another name in its own folder,
// then renamed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace opforge::tools {

/// One at a time in a process: a signal's handler removes the unfinished file, and it knows of one.
class StagedOutput {
public:
    /// Creates the file under its temporary name. Where `path` is a link, it keeps being one, and
    /// the file behind it is meant. A file that is replaced keeps its permissions.
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
    void create_temporary();
    // Leaves descriptor_ at -1, and errno, where the name does not serve.
    void try_name(const std::string& name);
    void discard() noexcept;

    std::filesystem::path path_;
    std::filesystem::path temporary_;
    int descriptor_ = -1;
};

/// From now on SIGINT, SIGTERM, SIGHUP and SIGPIPE remove the unfinished output, where there is
/// one, and end the process with 128 and the signal's number: 130 for SIGINT, 143 for SIGTERM.
void handle_termination_signals();

}  // namespace opforge::tools
