// What the builder throws.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/base/error.hpp>

#include <string>
#include <vector>

namespace opforge {

/// The compiler refused the source. `log()` is its full output.
class OPFORGE_API CompileError : public Error {
public:
    CompileError(std::string program, std::string target, std::vector<std::string> options,
                 std::string log);
    CompileError(const CompileError&) = default;
    CompileError(CompileError&&) = default;
    CompileError& operator=(const CompileError&) = default;
    CompileError& operator=(CompileError&&) = default;
    ~CompileError() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
    [[nodiscard]] const std::string& program() const noexcept { return program_; }
    [[nodiscard]] const std::string& target() const noexcept { return target_; }
    [[nodiscard]] const std::vector<std::string>& options() const noexcept { return options_; }
    [[nodiscard]] const std::string& log() const noexcept { return log_; }

private:
    std::string program_;
    std::string target_;
    std::vector<std::string> options_;
    std::string log_;
};

/// No NVRTC that can serve: lists each place looked at and why it was refused.
class OPFORGE_API ToolchainNotFound : public Error {
public:
    using Error::Error;
    ToolchainNotFound(const ToolchainNotFound&) = default;
    ToolchainNotFound(ToolchainNotFound&&) = default;
    ToolchainNotFound& operator=(const ToolchainNotFound&) = default;
    ToolchainNotFound& operator=(ToolchainNotFound&&) = default;
    ~ToolchainNotFound() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};

/// Policy `offline`, and the cache has no entry: names the prewarm command that would have served
/// it.
class OPFORGE_API OfflineMiss : public Error {
public:
    using Error::Error;
    OfflineMiss(const OfflineMiss&) = default;
    OfflineMiss(OfflineMiss&&) = default;
    OfflineMiss& operator=(const OfflineMiss&) = default;
    OfflineMiss& operator=(OfflineMiss&&) = default;
    ~OfflineMiss() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};

}  // namespace opforge
