// What the tools throw for the files that their users name.
#pragma once

#include <opforge/base/error.hpp>

#include <filesystem>
#include <string>

namespace opforge::tools {

/// An input file is missing, unreadable, or not what it says. "read model.safetensors: <cause>"
class InputError : public Error {
public:
    InputError(const std::filesystem::path& path, const std::string& cause);
    InputError(const InputError&) = default;
    InputError(InputError&&) = default;
    InputError& operator=(const InputError&) = default;
    InputError& operator=(InputError&&) = default;
    ~InputError() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};

/// An output file cannot be written. "write out.safetensors: <cause>"
class OutputError : public Error {
public:
    OutputError(const std::filesystem::path& path, const std::string& cause);
    OutputError(const OutputError&) = default;
    OutputError(OutputError&&) = default;
    OutputError& operator=(const OutputError&) = default;
    OutputError& operator=(OutputError&&) = default;
    ~OutputError() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};

}  // namespace opforge::tools
