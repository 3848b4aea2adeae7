// Where nvcc is, for the tests that compare with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

namespace opforge::test {

/// From PATH or the usual toolkit; prints a SKIPPED line where there is none.
inline std::optional<std::string> find_nvcc() {
    const char* path = std::getenv("PATH");
    std::istringstream folders(std::string(path != nullptr ? path : "") + ":/usr/local/cuda/bin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::filesystem::path nvcc = std::filesystem::path(folder) / "nvcc";
        std::error_code ignored;
        if (nvcc.is_absolute() && std::filesystem::is_regular_file(nvcc, ignored)) {
            return nvcc.string();
        }
    }
    std::cout << "SKIPPED: no nvcc on PATH or in /usr/local/cuda/bin\n";
    return std::nullopt;
}

}  // namespace opforge::test
