// The part of `opforge demo` that is timed: one first use of one program, in a process of its own.
#pragma once

#include "session.hpp"

#include <opforge/base/error.hpp>
#include <opforge/runtime/tensor_view.hpp>

#include <cstdint>
#include <filesystem>
#include <string>

namespace opforge::tools {

struct FirstUse {
    double seconds = 0;  // on a GPU: beyond cuInit and context creation
    std::string origin;  // "compiled", "user_directory"
    std::string program;
    std::string target;
    std::string toolchain;        // "nvrtc 13.0"
    std::filesystem::path entry;  // empty: in memory only
    std::uint64_t size_bytes = 0;
    std::uint64_t kernels = 0;
};

/// An error told on, with the kind that it had where it happened: in a build outcome, in another
/// process.
class RelayedError : public Error {
public:
    RelayedError(std::string kind, const std::string& message);
    RelayedError(const RelayedError&) = default;
    RelayedError(RelayedError&&) = default;
    RelayedError& operator=(const RelayedError&) = default;
    RelayedError& operator=(RelayedError&&) = default;
    ~RelayedError() override;
    [[nodiscard]] std::string_view kind() const noexcept override { return kind_; }

private:
    std::string kind_;
};

/// What the demo compiles where there is no GPU to ask.
inline constexpr const char* kDemoTarget = "sm_90";

/// On a GPU: one whole ds_quantizer call. On the host: the kernels that a GPU would have asked for.
/// @throws what compiling and loading throw
[[nodiscard]] FirstUse first_use(const runtime::Device& device,
                                 const builder::BuilderContext& context);

[[nodiscard]] Json to_json(const FirstUse& use);
/// @throws nlohmann::json::exception where `json` is not to_json()'s
[[nodiscard]] FirstUse first_use_from_json(const Json& json);

}  // namespace opforge::tools
