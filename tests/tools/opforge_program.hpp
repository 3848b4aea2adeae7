// The `opforge` program, run with an environment of its own: no driver, no variable of the
// tester's, a home that is empty.
#pragma once

#include "support/temporary_directory.hpp"

#include <child_process.hpp>
#include <output.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace opforge::test {

using Variables = std::vector<std::pair<std::string, std::optional<std::string>>>;

class OpforgeProgram {
public:
    /// `path`: of a tool built on opforge::tool; default: `opforge`.
    explicit OpforgeProgram(std::filesystem::path path = OPFORGE_PROGRAM)
        : path_(std::move(path)) {}

    /// `variables` go on top of the controlled environment.
    [[nodiscard]] tools::ChildResult run(const std::vector<std::string>& arguments,
                                         const Variables& variables = {}) const;

    /// With --json: the parsed envelope. Fails the test where standard output is anything but one.
    struct Answer {
        int exit_code = -1;
        tools::Json json;
        std::string standard_error;
        [[nodiscard]] const tools::Json& data() const { return json.at("data"); }
        [[nodiscard]] std::string error_kind() const;
    };
    [[nodiscard]] Answer ask(std::vector<std::string> arguments,
                             const Variables& variables = {}) const;

    [[nodiscard]] const std::filesystem::path& folder() const { return home_.path(); }
    /// Where the program's cache is, by HOME.
    [[nodiscard]] std::filesystem::path cache_root() const {
        return home_.path() / ".cache/opforge";
    }

private:
    std::filesystem::path path_;
    TemporaryDirectory home_;
};

/// True where an NVRTC is installed; else says that the test is skipped.
[[nodiscard]] bool nvrtc_here();

}  // namespace opforge::test
