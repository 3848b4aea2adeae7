// The root of every exception that opforge throws, and the one that bad arguments raise.
#pragma once

#include <opforge/base/export.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace opforge {

/// Root of the typed errors. Its text names what was asked, what was found and what to do next.
class OPFORGE_API Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
    Error(const Error&) = default;
    Error(Error&&) = default;
    Error& operator=(const Error&) = default;
    Error& operator=(Error&&) = default;
    ~Error() override;

    /// The type's name as machines read it (`--json`), for example "InvalidArgument".
    [[nodiscard]] virtual std::string_view kind() const noexcept;
};

/// A caller's argument is outside what the operation takes: nothing was launched, nothing was
/// written.
class OPFORGE_API InvalidArgument : public Error {
public:
    using Error::Error;
    InvalidArgument(const InvalidArgument&) = default;
    InvalidArgument(InvalidArgument&&) = default;
    InvalidArgument& operator=(const InvalidArgument&) = default;
    InvalidArgument& operator=(InvalidArgument&&) = default;
    ~InvalidArgument() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};

}  // namespace opforge
