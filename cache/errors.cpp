#include <opforge/cache/errors.hpp>

#include <fmt/format.h>

#include <utility>

namespace opforge {

CacheError::CacheError(const std::string& action, std::filesystem::path path, std::error_code code,
                       const std::string& remedy)
    : Error(fmt::format("{} {}: {}{}{}", action, path.string(), code.message(),
                        remedy.empty() ? "" : "; ", remedy)),
      path_(std::move(path)), code_(code) {}
CacheError::~CacheError() = default;
std::string_view CacheError::kind() const noexcept {
    return "CacheError";
}

IntegrityError::IntegrityError(std::filesystem::path path, const std::string& reason)
    : Error(path.empty() ? fmt::format("verify manifest: {}", reason)
                         : fmt::format("verify {}: {}", path.string(), reason)),
      path_(std::move(path)), reason_(reason) {}
IntegrityError::~IntegrityError() = default;
std::string_view IntegrityError::kind() const noexcept {
    return "IntegrityError";
}

}  // namespace opforge
