#include "profile_file.hpp"

#include "file_errors.hpp"
#include "input_file.hpp"

#include <string>

namespace opforge::tools {

std::vector<builder::PrewarmJob> read_profile(const std::filesystem::path& path) {
    const InputFile file(path);
    std::string text(file.size_bytes(), '\0');
    file.read(0, std::as_writable_bytes(std::span(text)));
    try {
        return builder::parse_profile(text);
    } catch (const InvalidArgument& error) {
        throw InputError(path, error.what());
    }
}

}  // namespace opforge::tools
