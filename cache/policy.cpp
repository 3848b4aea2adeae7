#include <opforge/base/error.hpp>
#include <opforge/cache/cache.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace opforge::cache {

std::string_view to_string(Policy policy) noexcept {
    switch (policy) {
    case Policy::exact:
        return "exact";
    case Policy::compatible:
        return "compatible";
    case Policy::offline:
        break;
    }
    return "offline";
}

Policy parse_policy(std::string_view text) {
    constexpr std::array<Policy, 3> kPolicies = {Policy::exact, Policy::compatible,
                                                 Policy::offline};
    const auto* const found = std::find_if(kPolicies.begin(), kPolicies.end(), [&](Policy policy) {
        return to_string(policy) == text;
    });
    if (found == kPolicies.end()) {
        throw InvalidArgument(fmt::format(
            "read cache policy: '{}' is not one; use exact, compatible or offline", text));
    }
    return *found;
}

std::string_view to_string(Origin origin) noexcept {
    switch (origin) {
    case Origin::memory:
        return "memory";
    case Origin::user_directory:
        return "user_directory";
    case Origin::layer:
        return "layer";
    case Origin::compiled:
        break;
    }
    return "compiled";
}

}  // namespace opforge::cache
