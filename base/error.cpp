#include <opforge/base/error.hpp>

namespace opforge {

// Out of line, so that each type has one vtable: a host catches the same type that the library
// threw.
Error::~Error() = default;
std::string_view Error::kind() const noexcept {
    return "Error";
}

InvalidArgument::~InvalidArgument() = default;
std::string_view InvalidArgument::kind() const noexcept {
    return "InvalidArgument";
}

}  // namespace opforge
