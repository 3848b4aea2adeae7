// What the cache throws. A cache that only cannot be written never throws: it warns once and the op
// goes on.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/base/error.hpp>

#include <filesystem>
#include <string>
#include <system_error>

namespace opforge {

/// The cache or the disk refused: permission, space, owner. `path()` is what refused, `code()` the
/// errno.
class OPFORGE_API CacheError : public Error {
public:
    CacheError(const std::string& action, std::filesystem::path path, std::error_code code,
               const std::string& remedy = {});
    CacheError(const CacheError&) = default;
    CacheError(CacheError&&) = default;
    CacheError& operator=(const CacheError&) = default;
    CacheError& operator=(CacheError&&) = default;
    ~CacheError() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    [[nodiscard]] std::error_code code() const noexcept { return code_; }

private:
    std::filesystem::path path_;
    std::error_code code_;
};

/// Bytes that do not match what vouches for them.
class OPFORGE_API IntegrityError : public Error {
public:
    IntegrityError(std::filesystem::path path, const std::string& reason);
    IntegrityError(const IntegrityError&) = default;
    IntegrityError(IntegrityError&&) = default;
    IntegrityError& operator=(const IntegrityError&) = default;
    IntegrityError& operator=(IntegrityError&&) = default;
    ~IntegrityError() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

private:
    std::filesystem::path path_;
    std::string reason_;
};

}  // namespace opforge
