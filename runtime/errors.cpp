#include <opforge/runtime/errors.hpp>

namespace opforge {

UnsupportedDtype::~UnsupportedDtype() = default;
std::string_view UnsupportedDtype::kind() const noexcept {
    return "UnsupportedDtype";
}

}  // namespace opforge
