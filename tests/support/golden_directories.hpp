// Where the reference vectors lie. They are not part of the project: tests of them skip where there
// are none.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace opforge::test {

/// The folders of OPFORGE_GOLDEN_DIR that hold vectors: itself and its `beyond`. Empty where there
/// are none.
[[nodiscard]] inline std::vector<std::filesystem::path> golden_directories() {
    std::vector<std::filesystem::path> directories;
    const char* root = std::getenv("OPFORGE_GOLDEN_DIR");
    if (root == nullptr || *root == '\0') {
        return directories;
    }
    for (const std::filesystem::path& directory :
         {std::filesystem::path(root), std::filesystem::path(root) / "beyond"}) {
        if (std::filesystem::exists(directory / "reference.json")) {
            directories.push_back(directory);
        }
    }
    return directories;
}

}  // namespace opforge::test
