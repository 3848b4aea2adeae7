#include "file_errors.hpp"

namespace opforge::tools {

InputError::InputError(const std::filesystem::path& path, const std::string& cause)
    : Error("read " + path.string() + ": " + cause) {}
InputError::~InputError() = default;
std::string_view InputError::kind() const noexcept {
    return "InputError";
}

OutputError::OutputError(const std::filesystem::path& path, const std::string& cause)
    : Error("write " + path.string() + ": " + cause) {}
OutputError::~OutputError() = default;
std::string_view OutputError::kind() const noexcept {
    return "OutputError";
}

}  // namespace opforge::tools
