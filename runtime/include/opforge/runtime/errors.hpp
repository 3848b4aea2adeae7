// What the runtime throws besides InvalidArgument and the layers' own errors below it.
#pragma once

#include <opforge/base/export.hpp>

#include <opforge/base/error.hpp>

namespace opforge {

/// A dtype that the op does not take; the text names it and those it takes.
class OPFORGE_API UnsupportedDtype : public InvalidArgument {
public:
    using InvalidArgument::InvalidArgument;
    UnsupportedDtype(const UnsupportedDtype&) = default;
    UnsupportedDtype(UnsupportedDtype&&) = default;
    UnsupportedDtype& operator=(const UnsupportedDtype&) = default;
    UnsupportedDtype& operator=(UnsupportedDtype&&) = default;
    ~UnsupportedDtype() override;
    [[nodiscard]] std::string_view kind() const noexcept override;
};

}  // namespace opforge
